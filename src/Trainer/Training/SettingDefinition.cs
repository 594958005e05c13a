using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.Json;

namespace Trainer.Training;

/// <summary>
/// One property with a <see cref="SettingAttribute"/>, seen as a command-line option and as a key of a configuration file. The property
/// is initialised and never written again by its owner; only the two sources here set it, before the owner sees the object.
/// </summary>
public sealed class SettingDefinition
{
    private readonly PropertyInfo _property;
    private readonly SettingAttribute _setting;
    private readonly Type _type;
    private readonly Interval? _range;
    private readonly object? _initial;

    private SettingDefinition(PropertyInfo property, SettingAttribute setting, object initial)
    {
        _property = property;
        _setting = setting;
        _initial = property.GetValue(initial);
        _type = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
        _range = setting.Range is { } range ? Interval.Parse(range) : null;
        Values = setting.Values?.Split('|') ?? [];
        Name = setting.Operand ? setting.ValueName! : "--" + Kebab(property.Name);
        Key = JsonNamingPolicy.CamelCase.ConvertName(property.Name);
    }

    /// <summary>The settings that a type declares, in the order in which it declares them.</summary>
    /// <typeparam name="T">Its properties with the attribute have an init or set accessor and one of the types bool, int, ulong, double,
    /// string, or a list of strings; nullable where "not given" matters.</typeparam>
    public static IReadOnlyList<SettingDefinition> Of<[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)] T>()
        where T : class, new()
    {
        var initial = new T();
        return
        [
            .. from property in typeof(T).GetProperties(BindingFlags.Public | BindingFlags.Instance)
               let setting = property.GetCustomAttribute<SettingAttribute>()
               where setting is not null
               select new SettingDefinition(property, setting, initial),
        ];
    }

    /// <summary>An object with the settings that a command line gives, checked one by one.</summary>
    /// <param name="definitions">What <see cref="Of"/> gave for the type.</param>
    /// <param name="commandLine">The values given for each setting; none for a switch without a value.</param>
    /// <exception cref="RequestException">A required setting is missing, or a value has the wrong type or is out of range; the message names the option.</exception>
    public static T Read<T>(IReadOnlyList<SettingDefinition> definitions, IReadOnlyDictionary<SettingDefinition, IReadOnlyList<string>> commandLine)
        where T : class, new()
    {
        ArgumentNullException.ThrowIfNull(definitions);
        ArgumentNullException.ThrowIfNull(commandLine);
        if (definitions.FirstOrDefault(definition => definition._setting.Required && !commandLine.ContainsKey(definition)) is { } missing)
            throw new RequestException($"{(missing.IsOperand ? missing.Name : $"{missing.Name} {missing.ValueName}")} is missing: {missing.Help}.");
        var settings = new T();
        foreach ((SettingDefinition definition, IReadOnlyList<string> values) in commandLine)
        {
            definition.SetFromText(settings, values);
            definition.Validate(settings);
        }

        return settings;
    }

    /// <summary>The option: <c>--seq-len</c>. Of an operand, what stands for its words: <c>RUN...</c></summary>
    public string Name { get; }

    /// <summary>The key: <c>seqLen</c>.</summary>
    public string Key { get; }

    /// <summary>The heading of the help text that it belongs under.</summary>
    public string Group => _setting.Group;

    /// <summary>What it means, with its unit.</summary>
    public string Help => _setting.Help;

    /// <summary>What stands for the value in the help text; null for a switch.</summary>
    public string? ValueName => IsSwitch ? null : _setting.ValueName ?? _setting.Values;

    /// <summary>What happens when it is not given.</summary>
    public string Default => _setting.Required ? "required" : _setting.Default ?? Text(_initial);

    /// <summary>The words allowed; empty when it is not a matter of words.</summary>
    public IReadOnlyList<string> Values { get; }

    /// <summary>Whether it is true or false, and true when it is named without a value.</summary>
    public bool IsSwitch => _type == typeof(bool);

    /// <summary>Whether its values stand on the command line without a name.</summary>
    public bool IsOperand => _setting.Operand;

    /// <summary>Whether it can be given more than once.</summary>
    public bool IsList => _type == typeof(IReadOnlyList<string>);

    /// <summary>Whether its value is text that may be anything, and nothing.</summary>
    public bool IsFreeText => ValueName == "TEXT";

    /// <summary>What is said when the value is missing.</summary>
    public string NeedsValue => $"{Name} needs a value: {ValueName}.\n{Name}: {Help}.";

    /// <summary>Whether a run's recorded configuration contains it.</summary>
    internal bool IsRecorded => _setting.Recorded;

    /// <summary>Sets the property from the values that the command line gives.</summary>
    /// <exception cref="RequestException">The text is no value of the property's type.</exception>
    internal void SetFromText(object settings, IReadOnlyList<string> values)
    {
        object? value = IsList ? values : FromText(values.Count == 0 && IsSwitch ? "true" : values[^1]);
        _property.SetValue(settings, value ?? throw Wrong($"{Name} '{values[^1]}'"));
    }

    /// <summary>Sets the property from a value in a configuration file.</summary>
    /// <exception cref="RequestException">The value has the wrong type.</exception>
    internal void SetFromJson(object settings, JsonElement element, string file)
    {
        object? value = element.ValueKind switch
        {
            JsonValueKind.Null when Nullable.GetUnderlyingType(_property.PropertyType) is not null || _initial is null => null,
            JsonValueKind.Number when _type != typeof(string) && !IsList => FromText(element.GetRawText()) ?? throw WrongJson(element, file),
            JsonValueKind.True or JsonValueKind.False when IsSwitch => element.GetBoolean(),
            JsonValueKind.String when _type == typeof(string) => element.GetString(),
            JsonValueKind.Array when IsList && element.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String) =>
                element.EnumerateArray().Select(item => item.GetString()!).ToArray(),
            _ => throw WrongJson(element, file),
        };
        _property.SetValue(settings, value);
    }

    /// <summary>Writes the key and the value; nothing when it is not given.</summary>
    internal void WriteTo(Utf8JsonWriter writer, object settings)
    {
        switch (_property.GetValue(settings))
        {
            case bool value:
                writer.WriteBoolean(Key, value);
                break;
            case int value:
                writer.WriteNumber(Key, value);
                break;
            case ulong value:
                writer.WriteNumber(Key, value);
                break;
            case double value:
                writer.WriteNumber(Key, value);
                break;
            case string value:
                writer.WriteString(Key, value);
                break;
            case IReadOnlyList<string> values:
                writer.WriteStartArray(Key);
                foreach (string value in values)
                    writer.WriteStringValue(value);
                writer.WriteEndArray();
                break;
        }
    }

    /// <summary>Checks the value against <see cref="Values"/> or the range.</summary>
    /// <exception cref="RequestException">It is not allowed.</exception>
    internal void Validate(object settings)
    {
        object? value = _property.GetValue(settings);
        if (Values.Count == 0 && !IsFreeText && (value is "" || (value is IReadOnlyList<string> list && list.Contains(string.Empty))))
            throw new RequestException(NeedsValue);
        if (value is string word && Values.Count > 0 && !Values.Any(allowed => IsWord(word, allowed)))
            throw new RequestException($"{Name} '{word}' does not exist{NearestName.Suggestion(word, Values)}\nIt is one of {string.Join(", ", Values)}.");
        if (_range is { } range && value is not null && Convert.ToDouble(value, CultureInfo.InvariantCulture) is var number && !range.Contains(number))
            throw new RequestException(string.Create(CultureInfo.InvariantCulture, $"{Name} must {range}, but is {number}."));
    }

    private static bool IsWord(string word, string allowed) => allowed.EndsWith(":N", StringComparison.Ordinal)
        ? word.StartsWith(allowed[..^1], StringComparison.Ordinal) && byte.TryParse(word[(allowed.Length - 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out _)
        : word == allowed;

    private object? FromText(string text)
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        if (_type == typeof(string))
            return text;
        if (_type == typeof(bool))
            return bool.TryParse(text, out bool truth) ? truth : null;
        if (_type == typeof(int))
            return int.TryParse(text, NumberStyles.AllowLeadingSign, culture, out int number) ? number : null;
        if (_type == typeof(ulong))
            return ulong.TryParse(text, NumberStyles.None, culture, out ulong natural) ? natural : null;
        return double.TryParse(text, NumberStyles.Float, culture, out double real) && double.IsFinite(real) ? real : null;
    }

    private RequestException Wrong(string what)
    {
        string expected = IsSwitch ? "true or false"
            : IsList ? "a list of texts"
            : _type == typeof(string) ? "a text"
            : _type == typeof(double) ? "a number"
            : _type == typeof(ulong) ? "a whole number from 0 to 2^64 - 1"
            : "a whole number below 2^31";
        return new RequestException($"{what} is not {expected}.\n{Name}: {Help}.");
    }

    private RequestException WrongJson(JsonElement element, string file) => Wrong($"{file}: the value {element.GetRawText()} of '{Key}'");

    private static string Text(object? value) => value switch
    {
        bool truth => truth ? "true" : "false",
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture).ToLowerInvariant(),
        _ => value?.ToString() ?? "none",
    };

    private static string Kebab(string name)
    {
        var text = new StringBuilder();
        foreach (char letter in name)
        {
            if (char.IsUpper(letter) && text.Length > 0)
                text.Append('-');
            text.Append(char.ToLowerInvariant(letter));
        }

        return text.ToString();
    }
}
