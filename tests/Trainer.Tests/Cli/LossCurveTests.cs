using Trainer.Cli.Display;

namespace Trainer.Tests.Cli;

public sealed class LossCurveTests
{
    [Test]
    public void A_falling_loss_falls_from_the_upper_left_to_the_lower_right()
    {
        var curve = new LossCurve(width: 4, height: 2, firstStep: 1, lastStep: 8);
        for (int step = 1; step <= 8; step++)
            curve.Add(step, 9 - step);
        Assert.That(curve.Lines(), Is.EqualTo(new[] { "   8.000 ┤⠑⢄⠀⠀", "   1.000 ┤⠀⠀⠑⢄" }));
    }

    [Test]
    public void Steps_of_one_column_are_averaged_and_infinite_losses_left_out()
    {
        var curve = new LossCurve(1, 1, 1, 100);
        for (int step = 1; step <= 99; step++)
            curve.Add(step, step % 2 == 0 ? 2 : double.NaN);
        curve.Add(100, double.PositiveInfinity);
        Assert.That(curve.Lines()[0], Does.StartWith("   2.000 ┤"));
    }

    [Test]
    public void Without_losses_it_is_empty() =>
        Assert.That(new LossCurve(3, 1, 0, 0).Lines(), Is.EqualTo(new[] { "         ┤⠀⠀⠀" }));
}
