using System.CommandLine;
using System.Diagnostics.CodeAnalysis;
using Trainer.Training;

namespace Trainer.Cli;

/// <summary>One verb of the command line: options from setting definitions, examples, and what it runs.</summary>
internal sealed class Verb : Command
{
    /// <summary>Creates the verb.</summary>
    /// <param name="name">The word after <c>trainer</c>.</param>
    /// <param name="description">What it does, in a sentence.</param>
    /// <param name="examples">Whole command lines.</param>
    /// <param name="definitions">Its options.</param>
    /// <param name="run">The work, given the values of the options that are present.</param>
    public Verb(string name, string description, IReadOnlyList<string> examples, IReadOnlyList<SettingDefinition> definitions,
        Func<IReadOnlyDictionary<SettingDefinition, IReadOnlyList<string>>, ExitCode> run)
        : this(name, description, examples)
    {
        foreach (SettingDefinition definition in definitions)
        {
            if (definition.IsOperand)
                Arguments.Add(new SettingArgument(definition));
            else
                Options.Add(new SettingOption(definition));
        }

        SetAction(parse => (int)run(Given(parse)));
    }

    private Verb(string name, string description, IReadOnlyList<string> examples)
        : base(name, description) => Examples = examples;

    /// <summary>The words that name a command: <c>trainer bench step</c>.</summary>
    public static string Path(Command command) =>
        command is RootCommand ? "trainer" : $"{Path(command.Parents.OfType<Command>().First())} {command.Name}";

    /// <summary>Creates a verb whose options are the settings of one type.</summary>
    /// <typeparam name="T">The settings: properties with a <see cref="SettingAttribute"/>.</typeparam>
    public static Verb Create<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)] T>(
        string name, string description, IReadOnlyList<string> examples, Func<T, ExitCode> run)
        where T : class, new()
    {
        IReadOnlyList<SettingDefinition> definitions = SettingDefinition.Of<T>();
        return new Verb(name, description, examples, definitions, given => run(SettingDefinition.Read<T>(definitions, given)));
    }

    /// <summary>Creates a verb that is followed by one of several others.</summary>
    public static Verb Of(string name, string description, IReadOnlyList<Verb> verbs)
    {
        var parent = new Verb(name, description, [.. verbs.Select(verb => verb.Examples[0])]);
        foreach (Verb verb in verbs)
            parent.Subcommands.Add(verb);
        return parent;
    }

    /// <summary>Whole command lines that show the verb at work.</summary>
    public IReadOnlyList<string> Examples { get; }

    /// <summary>What is said about an option that takes one value and is given several.</summary>
    public static string GivenTwice(SettingOption option, int times) => $"{option.Name} is given {times} times; give it once.";

    private Dictionary<SettingDefinition, IReadOnlyList<string>> Given(ParseResult parse)
    {
        var given = new Dictionary<SettingDefinition, IReadOnlyList<string>>();
        foreach (SettingOption option in Options.OfType<SettingOption>())
        {
            if (parse.GetResult(option) is not { Implicit: false } result)
                continue;
            if (result.IdentifierTokenCount > 1 && !option.Definition.IsList)
                throw new RequestException(GivenTwice(option, result.IdentifierTokenCount));
            given[option.Definition] = result.GetValueOrDefault<string[]>() ?? [];
        }

        foreach (SettingArgument operand in Arguments.OfType<SettingArgument>())
        {
            if (parse.GetValue(operand) is { Length: > 0 } words)
                given[operand.Definition] = words;
        }

        return given;
    }
}

/// <summary>A setting as an option. Its values stay text: the setting itself converts and checks them, as it does for files.</summary>
internal sealed class SettingOption : Option<string[]>
{
    public SettingOption(SettingDefinition definition)
        : base(definition.Name)
    {
        Definition = definition;
        Description = definition.Help;
        Arity = definition.IsSwitch ? ArgumentArity.ZeroOrOne : definition.IsList ? ArgumentArity.OneOrMore : ArgumentArity.ExactlyOne;
        // A shell expands a pattern into many words before the program sees it.
        AllowMultipleArgumentsPerToken = definition.IsList;
        CustomParser = result => [.. result.Tokens.Select(token => token.Value)];
    }

    public SettingDefinition Definition { get; }
}

/// <summary>A setting whose values stand on the command line without a name.</summary>
internal sealed class SettingArgument : Argument<string[]>
{
    public SettingArgument(SettingDefinition definition)
        : base(definition.Name)
    {
        Definition = definition;
        // That some are there is checked where the settings are read, as for options.
        Arity = ArgumentArity.ZeroOrMore;
    }

    public SettingDefinition Definition { get; }
}

/// <summary>The values that a command line gives.</summary>
internal static class GivenSettings
{
    /// <summary>Those of some settings.</summary>
    public static Dictionary<SettingDefinition, IReadOnlyList<string>> Of(
        this IReadOnlyDictionary<SettingDefinition, IReadOnlyList<string>> given, IReadOnlyList<SettingDefinition> definitions) =>
        given.Where(pair => definitions.Contains(pair.Key)).ToDictionary();
}
