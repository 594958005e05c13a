using Trainer.Experiments;
using Trainer.Reports;

namespace Trainer.Tests.Experiments;

public sealed class JudgeTests
{
    [TestCase(new[] { -1.0, -2, -3 }, Outcome.Seen)]
    [TestCase(new[] { -1.0, -2, 0.5 }, Outcome.Seen)]
    [TestCase(new[] { -1.0, -2, 9 }, Outcome.Inconclusive)]
    [TestCase(new[] { -1.0, 2, 3 }, Outcome.NotSeen)]
    [TestCase(new[] { 1.0, 2, 3 }, Outcome.NotSeen)]
    [TestCase(new[] { -1.0, 1 }, Outcome.Inconclusive)]
    [TestCase(new[] { 0.0, 0, 0 }, Outcome.Inconclusive)]
    [TestCase(new[] { -1.0, -2, double.NaN }, Outcome.Inconclusive)]
    public void A_sign_needs_two_thirds_of_the_seeds_and_the_mean(double[] differences, Outcome outcome)
    {
        Assert.That(Judge.Sign(new Sample(differences), negative: true), Is.EqualTo(outcome));
        Assert.That(Judge.Sign(new Sample([.. differences.Select(value => -value)]), negative: false), Is.EqualTo(outcome));
    }

    [TestCase(new[] { 0.5, 1 }, Outcome.Seen)]
    [TestCase(new[] { 0.5, 1.5 }, Outcome.Inconclusive)]
    [TestCase(new[] { 1.5, double.NaN }, Outcome.NotSeen)]
    public void An_interval_holds_all_some_or_none(double[] values, Outcome outcome) => Assert.That(Judge.Inside(values, 0, 1), Is.EqualTo(outcome));

    [Test]
    public void A_whole_is_as_good_as_its_worst_part()
    {
        Assert.That(Judge.All([Outcome.Seen, Outcome.Seen]), Is.EqualTo(Outcome.Seen));
        Assert.That(Judge.All([Outcome.Seen, Outcome.Inconclusive]), Is.EqualTo(Outcome.Inconclusive));
        Assert.That(Judge.All([Outcome.NotSeen, Outcome.Inconclusive]), Is.EqualTo(Outcome.NotSeen));
    }

    [Test]
    public void A_sample_tells_mean_standard_error_and_values()
    {
        var sample = new Sample([1, 2, 6]);

        // s² = (4 + 1 + 9) / 2 = 7, and √(7 / 3) = 1.5275.
        Assert.That((sample.Mean, sample.StandardError), Is.EqualTo((3.0, Math.Sqrt(7.0 / 3))));
        Assert.That(sample.Text("0.0"), Is.EqualTo("3.0 ± 1.5 (1.0, 2.0, 6.0)"));
        Assert.That(new Sample([0.25]).Text("0.00"), Is.EqualTo("0.25"));
    }

    [Test]
    public void Every_experiment_is_whole()
    {
        Assert.That(ExperimentCatalogue.All.Select(experiment => experiment.Id), Is.Unique);
        Assert.That(ExperimentCatalogue.All.Select(experiment => experiment.Id), Is.SupersetOf(Enumerable.Range(1, 15).Select(i => $"C{i}")).And.SupersetOf(Enumerable.Range(1, 8).Select(i => $"G{i}")));
        foreach (Experiment experiment in ExperimentCatalogue.All)
        {
            string[] arms = [.. experiment.Arms.Select(arm => arm.Name)];
            Assert.That(arms, Is.Unique, experiment.Id);
            Assert.That(experiment.Expectations, Is.Not.Empty, experiment.Id);
            for (int i = 0; i < arms.Length; i++)
                Assert.That(experiment.Arms[i].After, Is.SubsetOf(arms.Take(i)), $"{experiment.Id}, {arms[i]}");
        }

        Assert.That(() => ExperimentCatalogue.Find("C99"), Throws.TypeOf<RequestException>().With.Message.Contains("trainer lab list"));
        Assert.That(ExperimentCatalogue.Find("c1").Id, Is.EqualTo("C1"));
    }
}
