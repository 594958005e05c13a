namespace Trainer.Training;

/// <summary>Describes a property for the command line, the configuration file and the help text.</summary>
/// <param name="group">The heading that the help text lists it under.</param>
/// <param name="help">What it means, with its unit, in less than a sentence.</param>
/// <param name="valueName">What stands for the value in the help text: <c>N</c>, <c>DIR</c>.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class SettingAttribute(string group, string help, string? valueName = null) : Attribute
{
    /// <summary>The heading that the help text lists it under.</summary>
    public string Group => group;

    /// <summary>What it means, with its unit.</summary>
    public string Help => help;

    /// <summary>What stands for the value in the help text; null for switches and for those with <see cref="Values"/>.</summary>
    public string? ValueName => valueName;

    /// <summary>The numbers allowed, as an interval: <c>[0, 1)</c>, <c>(0, inf)</c>.</summary>
    public string? Range { get; init; }

    /// <summary>The words allowed, separated by bars; one that ends in <c>:N</c> stands for any whole number there.</summary>
    public string? Values { get; init; }

    /// <summary>What happens when it is not given; null when the property's initial value says so.</summary>
    public string? Default { get; init; }

    /// <summary>Whether the command line gives it as words of their own, and not behind the name of an option: the runs of <c>trainer report RUN...</c></summary>
    public bool Operand { get; init; }

    /// <summary>Whether the command line must give it.</summary>
    public bool Required { get; init; }

    /// <summary>Whether it is part of what makes the run: recorded in the run's configuration.</summary>
    public bool Recorded { get; init; } = true;
}
