using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

[TestFixture(KernelType.Bf16)]
[TestFixture(KernelType.Float)]
[Category("Device")]
internal sealed class CompareTests(KernelType type)
{
    private const double U = TestValues.UnitRoundoff;

    [TestCase(8)]
    [TestCase(2048)]
    [TestCase(5000)]
    [TestCase((1024 * 2048) + 4104)]
    public void Differences_are_summed_and_counted(int count)
    {
        float[] a = TestValues.Normal(count, 1).RoundedTo(type), b = [.. a];
        for (int i = count / 3; i < count; i += 7)
            b[i] = -b[i];
        double squares = a.Zip(b, (x, y) => Math.Pow((double)x - y, 2)).Sum(), reference = b.Sum(y => (double)y * y);
        int changed = a.Zip(b).Count(pair => pair.First != pair.Second);

        // In fp32 a difference, its square, and up to 8 of them are rounded; the rest is added in double precision.
        double relative = 11 * U;
        KernelRun.InAllOrders(run =>
        {
            var parts = run.Output("parts", BufferType.Double, CompareKernels.Quantities * CompareKernels.CompareBlocks(count));
            run.Launch(CompareKernels.Compare(count, type), parts, run.Values(type, "a", a), run.Values(type, "b", b), (long)count);
            Assert.That(Sum(parts, 0), Is.EqualTo(squares).Within(relative * squares));
            Assert.That(Sum(parts, 1), Is.EqualTo(reference).Within(relative * reference));
            Assert.That(Sum(parts, 2), Is.EqualTo(changed));
        });
    }

    [TestCase(float.NaN)]
    [TestCase(float.PositiveInfinity)]
    public void An_element_that_is_not_finite_shows(float value) => KernelRun.InAllOrders(run =>
    {
        const int count = 4096;
        float[] a = new float[count];
        a[count - 2] = value;
        var parts = run.Output("parts", BufferType.Double, CompareKernels.Quantities * CompareKernels.CompareBlocks(count));
        run.Launch(CompareKernels.Compare(count, type), parts, run.Values(type, "a", a), run.Values(type, "b", new float[count]), (long)count);
        Assert.That(double.IsFinite(Sum(parts, 0)), Is.False);
        Assert.That(Sum(parts, 2), Is.EqualTo(1));
    });

    [Test]
    public void The_sign_of_zero_is_a_difference_of_bits() => KernelRun.InAllOrders(run =>
    {
        var parts = run.Output("parts", BufferType.Double, CompareKernels.Quantities);
        var (a, b) = (run.Values(type, "a", [0, -0f, 0, -0f, 1, 1, 1, 1]), run.Values(type, "b", [0, 0, -0f, -0f, 1, 1, 1, 1]));
        run.Launch(CompareKernels.Compare(8, type), parts, a, b, 8L);
        run.Expect(parts, [0, 4, 2], new double[3]);
    });

    [Test]
    public void Memory_is_read_once_without_conflicts() => KernelRun.Once(run =>
    {
        const int count = 3 * 2048;
        var parts = run.Output("parts", BufferType.Double, CompareKernels.Quantities * CompareKernels.CompareBlocks(count));
        var (a, b) = (run.Values(type, "a", new float[count]), run.Values(type, "b", new float[count]));
        TrafficCheck.IsIdeal(run, CompareKernels.Compare(count, type), parts, a, b, (long)count);
    });

    private static double Sum(DeviceBuffer parts, int quantity)
    {
        double sum = 0;
        double[] values = parts.Values();
        for (int i = quantity; i < values.Length; i += CompareKernels.Quantities)
            sum += values[i];
        return sum;
    }
}
