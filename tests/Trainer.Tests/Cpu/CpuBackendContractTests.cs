using Trainer.Compute;
using Trainer.Cpu;
using Trainer.Tests.Compute;

namespace Trainer.Tests.Cpu;

[TestFixtureSource(nameof(Variants))]
public sealed class CpuBackendContractTests(CpuInstructionSet instructionSet, int threads) : BackendContractTests
{
    public static IEnumerable<object[]> Variants =>
        from instructionSet in CpuInstructionSets.Supported from threads in new[] { 1, 2, 3 } select new object[] { instructionSet, threads };

    /// <summary>Odd, so that no operand is aligned: parameters lie in one allocation wherever the one before them ends.</summary>
    protected override int Guard => 61;

    private protected override Arithmetic Arithmetic => Arithmetic.Cpu;

    protected override IBackend Create() => new CpuBackend(threads, instructionSet);

    [Test]
    public void A_sum_of_squares_of_huge_and_of_tiny_numbers_keeps_its_range()
    {
        float[] huge = new float[1000], tiny = new float[1000];
        Array.Fill(huge, 1e30f);
        Array.Fill(tiny, 1e-30f);
        using var x = new Vectors(Backend, huge, tiny);
        var sums = new double[1];
        Backend.SumOfSquares(x[0], [new(0, 1000)], sums);
        Assert.That(sums[0], Is.EqualTo(1000.0 * 1e30f * 1e30f).Within(1e-12).Percent);
        Backend.SumOfSquares(x[1], [new(0, 1000)], sums);
        Assert.That(sums[0], Is.EqualTo(1000.0 * 1e-30f * 1e-30f).Within(1e-12).Percent);
    }

    [Test]
    public void Layer_normalisation_of_any_number_of_equal_inputs_gives_the_bias() => ExpectBias(50);
}
