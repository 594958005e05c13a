using System.CommandLine;
using System.CommandLine.Invocation;
using System.Text;
using Trainer.Training;

namespace Trainer.Cli;

/// <summary>The answer to <c>--help</c>: verbs, or the options of one verb under their headings, and examples.</summary>
internal sealed class HelpText(TextWriter output) : SynchronousCommandLineAction
{
    private const int Width = 100;

    /// <inheritdoc/>
    public override bool ClearsParseErrors => true;

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        Command command = parseResult.CommandResult.Command;
        WriteWrapped(new StringBuilder(), 0, command.Description ?? string.Empty);
        output.WriteLine();
        SettingDefinition[] operands = [.. command.Arguments.OfType<SettingArgument>().Select(operand => operand.Definition)];
        string words = string.Concat(operands.Select(operand => " " + operand.Name));
        output.WriteLine($"Usage: {Verb.Path(command)}{words}{(command.Subcommands.Count > 0 ? " <verb>" : string.Empty)} [options]");

        if (command.Subcommands.Count > 0)
            WriteSection("Verbs", [.. command.Subcommands.Select(verb => (verb.Name, verb.Description ?? string.Empty))]);
        IEnumerable<SettingDefinition> definitions = operands.Concat(command.Options.OfType<SettingOption>().Select(option => option.Definition));
        foreach (IGrouping<string, SettingDefinition> group in definitions.GroupBy(definition => definition.Group))
            WriteSection(group.Key, [.. group.Select(definition => (Term(definition), Explanation(definition)))]);

        IEnumerable<Option> others = parseResult.RootCommandResult.Command.Options.Where(option => command is RootCommand || option.Recursive);
        WriteSection("Other", [.. others.Select(option => (option.Name, Lowercase(option.Description)))]);

        IEnumerable<string> examples = command is Verb one ? one.Examples : command.Subcommands.OfType<Verb>().Select(verb => verb.Examples[0]);
        output.WriteLine();
        output.WriteLine("Examples:");
        foreach (string example in examples)
            output.WriteLine($"  {example}");
        return (int)ExitCode.Done;
    }

    private static string Term(SettingDefinition definition)
    {
        // A long list of words stands in the explanation, where it can be broken into lines.
        string value = definition switch
        {
            { IsOperand: true } => string.Empty,
            // One that is on already is only ever given to turn it off.
            { IsSwitch: true } => definition.Default == "true" ? " true|false" : string.Empty,
            { ValueName: { Length: <= 20 } name } => $" {name}",
            _ => " NAME",
        };
        return definition.Name + value;
    }

    private static string Explanation(SettingDefinition definition)
    {
        string words = definition.ValueName is { Length: > 20 } ? $": {string.Join(", ", definition.Values)}" : string.Empty;
        return $"{definition.Help}{words} [{definition.Default}]";
    }

    private static string Lowercase(string? text) => string.IsNullOrEmpty(text) ? string.Empty : char.ToLowerInvariant(text[0]) + text[1..];

    private void WriteSection(string heading, IReadOnlyList<(string Term, string Explanation)> rows)
    {
        if (rows.Count == 0)
            return;
        output.WriteLine();
        output.WriteLine($"{heading}:");
        int indent = Math.Min(36, rows.Max(row => row.Term.Length) + 4);
        foreach ((string term, string explanation) in rows)
        {
            var line = new StringBuilder("  ").Append(term);
            if (line.Length > indent - 2)
            {
                output.WriteLine(line);
                line.Clear();
            }

            line.Append(' ', indent - line.Length);
            WriteWrapped(line, indent, explanation);
        }
    }

    private void WriteWrapped(StringBuilder line, int indent, string text)
    {
        foreach (string word in text.Split(' '))
        {
            if (line.Length + word.Length > Width && line.Length > indent)
            {
                output.WriteLine(line.ToString().TrimEnd());
                line.Clear().Append(' ', indent);
            }

            line.Append(word).Append(' ');
        }

        output.WriteLine(line.ToString().TrimEnd());
    }
}
