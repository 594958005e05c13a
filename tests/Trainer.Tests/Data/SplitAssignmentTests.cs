using Trainer.Data;

namespace Trainer.Tests.Data;

public sealed class SplitAssignmentTests
{
    [TestCase(0.05)]
    [TestCase(0.3)]
    [TestCase(0.9)]
    public void The_share_is_met_and_evenly_spaced(double fraction)
    {
        var assignment = new SplitAssignment(fraction, 100);
        bool[] heldOut = [.. Enumerable.Range(0, 1000).Select(_ => assignment.Next(100))];
        Assert.That(heldOut.Count(held => held), Is.EqualTo(1000 * fraction).Within(1));
        foreach (bool[] part in heldOut.Chunk(100))
            Assert.That(part.Count(held => held), Is.EqualTo(100 * fraction).Within(1.01));
    }

    [Test]
    public void Short_documents_are_not_preferred_to_long_ones()
    {
        var random = new Random(1);
        var assignment = new SplitAssignment(0.1, 1000);
        double[] all = [0, 0], held = [0, 0];
        for (int i = 0; i < 200_000; i++)
        {
            int size = random.Next(2) == 0 ? random.Next(1, 50) : random.Next(500, 1000);
            int kind = size < 50 ? 0 : 1;
            all[kind]++;
            if (assignment.Next(size))
                held[kind]++;
        }

        Assert.That(held[0] / all[0], Is.EqualTo(0.1).Within(0.01));
        Assert.That(held[1] / all[1], Is.EqualTo(0.1).Within(0.01));
    }

    [Test]
    public void A_share_of_everything_takes_everything()
    {
        var assignment = new SplitAssignment(1, 100);
        Assert.That(Enumerable.Range(1, 500).Select(i => assignment.Next((i * 37 % 300) + 1)), Is.All.True);
    }
}
