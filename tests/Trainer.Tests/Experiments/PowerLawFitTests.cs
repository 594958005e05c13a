using Trainer.Experiments;

namespace Trainer.Tests.Experiments;

public sealed class PowerLawFitTests
{
    [Test]
    public void Exponent_of_a_power_law_is_found()
    {
        var fit = new PowerLawFit(firstTime: 10, lastTime: 1000, points: 50);
        for (int t = 1; t <= 1000; t++)
            fit.Add(t, t < 10 ? 1 : 3 * Math.Pow(t, 0.7));

        // Logarithms of order 5 are known to 1e-15.
        Assert.That(fit.Exponent, Is.EqualTo(0.7).Within(1e-13));
    }

    [Test]
    public void One_value_has_no_exponent()
    {
        var fit = new PowerLawFit(1, 10, 5);
        fit.Add(1, 1);
        Assert.That(fit.Exponent, Is.NaN);
    }
}
