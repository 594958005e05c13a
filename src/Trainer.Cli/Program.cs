using Trainer.Cli;

using var terminal = new Terminal();
return CommandLine.Run(args, terminal);
