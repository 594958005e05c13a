using Trainer.Compute;
using Trainer.Tests.Optimization;

namespace Trainer.Tests.Compute;

public sealed class BFloat16Tests
{
    [Test]
    public void Every_number_is_its_own_nearest()
    {
        for (int bits = 0; bits <= ushort.MaxValue; bits++)
        {
            float value = BFloat16.Value((ushort)bits);
            Assert.That(BFloat16.Round(value), Is.EqualTo(float.IsNaN(value) ? 0x7fff : bits));
        }
    }

    /// <summary>From every number to the next, at the ends, in the middle and beside it, by distances in double precision.</summary>
    [Test]
    public void The_nearer_of_two_neighbours_is_taken_and_of_two_as_near_the_even_one()
    {
        ushort[] between = [0, 1, 0x1234, 0x7fff, 0x8000, 0x8001, 0xfedc, 0xffff];
        for (int lower = 0; lower < 0x7f80; lower++)
        {
            foreach (ushort low in between)
            {
                float value = BitConverter.Int32BitsToSingle((lower << 16) | low);

                // Above the largest number lies infinity, whose place is that of the next power of two.
                double below = BFloat16.Value((ushort)lower), above = lower == 0x7f7f ? Math.Pow(2, 128) : BFloat16.Value((ushort)(lower + 1));
                double down = value - below, up = above - value;
                int expected = down < up || (down == up && lower % 2 == 0) ? lower : lower + 1;
                Assert.That((int)BFloat16.Round(value), Is.EqualTo(expected), $"{value:R}");
                Assert.That((int)BFloat16.Round(-value), Is.EqualTo(expected | 0x8000), $"{-value:R}");
            }
        }
    }

    [TestCase(0x7f800001)]
    [TestCase(0x7fffffff)]
    [TestCase(0x7fc00000)]
    [TestCase(unchecked((int)0xff800001))]
    [TestCase(unchecked((int)0xffffffff))]
    public void What_is_not_a_number_stays_so(int bits) => Assert.That(BFloat16.Round(BitConverter.Int32BitsToSingle(bits)), Is.EqualTo(0x7fff));

    [Test]
    public void Values_are_exact()
    {
        Assert.That(BFloat16.Value(0x3f80), Is.EqualTo(1f));
        Assert.That(BFloat16.Value(0xc040), Is.EqualTo(-3f));
        Assert.That(BFloat16.Value(0x0001), Is.EqualTo(MathF.Pow(2, -133)));
        Assert.That(BFloat16.Value(0x7f80), Is.EqualTo(float.PositiveInfinity));
        Assert.That(BitConverter.SingleToInt32Bits(BFloat16.Value(0x8000)), Is.EqualTo(int.MinValue));
    }

    [Test]
    public void Floats_are_copied_to_and_from_either_type()
    {
        using var backend = new ReferenceBackend();
        float[] values = [1, 1 + (1f / 256), 1 + (3f / 256), -2.7f, 0], found = new float[5];
        foreach (var (type, expected) in new[] { (ElementType.Float32, values), (ElementType.BFloat16, [1, 1, 1 + (1f / 64), -2.703125f, 0]) })
        {
            Tensor tensor = backend.Allocate(type, new Shape(5));
            backend.UploadFloats(values, tensor);
            backend.DownloadFloats(tensor, found);
            Assert.That(found, Is.EqualTo(expected), $"{type}");
            backend.Free(tensor);
        }
    }
}
