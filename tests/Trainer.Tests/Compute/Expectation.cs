using System.Globalization;

namespace Trainer.Tests.Compute;

/// <summary>What an operand has to hold after the call.</summary>
/// <param name="Operand">The operand, or <see cref="Results"/>.</param>
/// <param name="Values">The reference's values.</param>
/// <param name="Tolerances">How far each may be off.</param>
internal sealed record Expectation(string Operand, double[] Values, double[] Tolerances)
{
    /// <summary>The numbers that an operation returns to the host, in place of an operand.</summary>
    public const string Results = "results";

    /// <summary>Fails at the first element that is not within its tolerance; NaN never is.</summary>
    public void Check(ReadOnlySpan<double> actual)
    {
        Assert.That(actual.Length, Is.EqualTo(Values.Length), Operand);
        Assert.That(Tolerances, Has.Length.EqualTo(Values.Length), Operand);
        int wrong = 0, first = -1;
        for (int i = 0; i < Values.Length; i++)
        {
            if (Math.Abs(actual[i] - Values[i]) <= Tolerances[i])
                continue;
            first = wrong++ == 0 ? i : first;
        }

        if (wrong > 0)
        {
            Assert.Fail(string.Create(CultureInfo.InvariantCulture,
                $"{Operand}: {wrong} of {Values.Length} are wrong, the first at {first}: {actual[first]:R} instead of {Values[first]:R} ± {Tolerances[first]:G3}"));
        }
    }
}
