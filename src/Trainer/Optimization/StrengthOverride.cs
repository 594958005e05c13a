using System.Globalization;

namespace Trainer.Optimization;

/// <summary>A strength of its own for the parameter tensors whose name matches a pattern.</summary>
/// <param name="Pattern">A Hugging Face name in which <c>*</c> stands for any characters: <c>h.*.mlp.c_proj.weight</c>.</param>
/// <param name="Strength">λ of the decays, the target r of norm control; null takes the tensors out of the regularised set.</param>
public readonly record struct StrengthOverride(string Pattern, double? Strength)
{
    /// <summary>Reads <c>pattern=strength</c> or <c>pattern=none</c>.</summary>
    /// <exception cref="RequestException">The text has another form.</exception>
    public static StrengthOverride Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int equals = text.LastIndexOf('=');
        if (equals > 0)
        {
            ReadOnlySpan<char> value = text.AsSpan(equals + 1).Trim();
            string pattern = text[..equals].Trim();
            if (value.SequenceEqual("none"))
                return new StrengthOverride(pattern, null);
            if (double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out double strength))
                return new StrengthOverride(pattern, strength);
        }

        throw new RequestException($"'{text}' is not a strength of its own; write pattern=number or pattern=none, for instance h.*.mlp.c_proj.weight=0.3.");
    }
}
