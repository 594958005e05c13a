using System.Text;
using Trainer.Cli;

// Samples and curves are more than ASCII, and what is piped on must not depend on the code page of a console.
Console.OutputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
using var terminal = new Terminal();
return CommandLine.Run(args, terminal);
