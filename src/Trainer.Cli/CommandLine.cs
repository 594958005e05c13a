using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using Trainer.Cli.Commands;

namespace Trainer.Cli;

/// <summary>The command line as a whole: the verbs, what is said about a wrong one, and the exit codes.</summary>
internal static class CommandLine
{
    private static readonly Option<bool> Verbose = new("--verbose") { Description = "on an error, show where it came from", Recursive = true };

    /// <summary>Runs the verb that the arguments name.</summary>
    public static int Run(string[] arguments, Terminal terminal) => Run(arguments, terminal, Verbs(terminal));

    /// <summary>Runs one of the given verbs.</summary>
    internal static int Run(string[] arguments, Terminal terminal, IReadOnlyList<Verb> verbs)
    {
        var root = new RootCommand("Trains GPT-2 class language models on this machine.");
        // [diagram] and the like are of no use to users, and a text in brackets is a text.
        root.Directives.Clear();
        root.Options.Add(Verbose);
        foreach (Verb verb in verbs)
            root.Subcommands.Add(verb);
        foreach (HelpOption help in root.Options.OfType<HelpOption>())
            help.Action = new HelpText(terminal.Out);

        // A prompt may begin with @, which would otherwise name a file of arguments.
        ParseResult parse = root.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null, EnablePosixBundling = false });
        try
        {
            RefuseOptionsAsValues(parse);
            if (parse.Errors.Count > 0 && parse.Action is not HelpText)
            {
                // Who names no verb asks which there are.
                if (parse.CommandResult.Command.Subcommands.Count > 0 && parse.UnmatchedTokens.Count == 0)
                    return new HelpText(terminal.Out).Invoke(parse);
                throw new RequestException(WhatIsWrong(parse));
            }

            return parse.Invoke(new InvocationConfiguration
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
                Output = terminal.Out,
                Error = terminal.Error,
            });
        }
        catch (Exception exception)
        {
            terminal.Live.Close();
            return (int)Report(exception, terminal, parse.GetResult(Verbose) is { Implicit: false });
        }
    }

    private static Verb[] Verbs(Terminal terminal) =>
    [
        TrainCommand.Create(terminal, TrainCommand.Train),
        PrepareCommand.Create(terminal),
        SampleCommand.Create(terminal),
        EvalCommand.Create(terminal),
        BenchCommand.Create(terminal),
        ProfileCommand.Create(terminal),
        LabCommand.Create(terminal),
        ReportCommand.Create(terminal),
        DoctorCommand.Create(terminal),
    ];

    private static ExitCode Report(Exception exception, Terminal terminal, bool verbose)
    {
        (ExitCode code, string message) = exception switch
        {
            RequestException => (ExitCode.WrongRequest, exception.Message),
            RunFailedException => (ExitCode.Failed, exception.Message),
            OperationCanceledException => (ExitCode.Interrupted, "interrupted."),
            OutOfMemoryException => (ExitCode.Failed, "out of memory. Choose a smaller model, --batch-size or --seq-len; 'trainer doctor' shows what is free."),
            IOException or UnauthorizedAccessException => (ExitCode.Failed, exception.Message),
            _ => (ExitCode.Failed, $"unexpected {exception.GetType().Name}: {exception.Message}\nThis is a defect of the program; --verbose shows where."),
        };
        terminal.Error.WriteLine($"trainer: {message}");
        if (verbose)
            terminal.Error.WriteLine(exception);
        return code;
    }

    private static string WhatIsWrong(ParseResult parse)
    {
        Command command = parse.CommandResult.Command;
        bool takesVerb = command.Subcommands.Count > 0;
        string help = $"'{Verb.Path(command)} --help' lists the {(takesVerb ? "verbs" : "options")}.";
        if (parse.UnmatchedTokens is [var token, ..])
        {
            if (token.StartsWith('-'))
                return $"there is no option {token}{NearestName.Suggestion(token, command.Options.Append(Verbose).Select(option => option.Name))}\n{help}";
            return takesVerb
                ? $"there is no verb '{token}'{NearestName.Suggestion(token, command.Subcommands.Select(verb => verb.Name))}\n{help}"
                : $"'{token}' belongs to no option.\n{help}";
        }

        ParseError error = parse.Errors[0];
        return error.SymbolResult switch
        {
            OptionResult { Option: SettingOption option, Tokens.Count: 0 } => option.Definition.NeedsValue,
            OptionResult { Option: SettingOption { Definition.IsList: false } option, Tokens.Count: > 1 } given => Verb.GivenTwice(option, given.IdentifierTokenCount),
            _ => $"{error.Message}\n{help}",
        };
    }

    // What begins with two hyphens was meant as an option, and would otherwise name a file or a folder.
    private static void RefuseOptionsAsValues(ParseResult parse)
    {
        Command command = parse.CommandResult.Command;
        foreach (SettingOption option in command.Options.OfType<SettingOption>().Where(option => !option.Definition.IsFreeText))
        {
            string? hyphened = Hyphened(parse.GetResult(option));
            if (hyphened is null)
                continue;
            if (command.Options.Any(known => known.Name == hyphened))
                throw new RequestException(option.Definition.NeedsValue);
            throw NoOption(hyphened);
        }

        foreach (SettingArgument operand in command.Arguments.OfType<SettingArgument>())
        {
            if (Hyphened(parse.GetResult(operand)) is { } hyphened)
                throw NoOption(hyphened);
        }

        static string? Hyphened(SymbolResult? given) =>
            given?.Tokens.Select(token => token.Value).FirstOrDefault(value => value.StartsWith("--", StringComparison.Ordinal));

        RequestException NoOption(string word) => new(
            $"there is no option {word}{NearestName.Suggestion(word, command.Options.Select(known => known.Name))}\n'{Verb.Path(command)} --help' lists the options.");
    }
}
