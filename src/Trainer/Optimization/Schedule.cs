namespace Trainer.Optimization;

/// <summary>How a schedule goes on after its warm-up.</summary>
public enum ScheduleShape
{
    /// <summary>Stays at 1.</summary>
    Constant,

    /// <summary>A straight line from 1 to the final fraction.</summary>
    Linear,

    /// <summary>Half a cosine from 1 to the final fraction (Loshchilov and Hutter 2017).</summary>
    Cosine,

    /// <summary>Warm-up, stable, decay: stays at 1 and ends with a straight line to the final fraction (Hu et al. 2024).</summary>
    WarmupStableDecay,

    /// <summary>Jumps: at 1 until the first of <see cref="Schedule.Points"/>, from each of them on at its value.</summary>
    Step,

    /// <summary>Straight lines between <see cref="Schedule.Points"/>; before the first at its value, after the last at its.</summary>
    Piecewise,

    /// <summary>The values of <see cref="Schedule.Recorded"/>, one for each step.</summary>
    Replay,
}

/// <summary>
/// A multiplier as a function of the optimizer step: a value, so that the learning rate, the strength of weight decay, the target
/// and the rate of weight norm control can each have one of their own or share one.
/// </summary>
/// <remarks>
/// With it the step from 0, W the warm-up steps, o the warm-up offset, D the steps, m the final fraction:
/// <code>
/// it &lt; W        (it + o) / (W + o)
/// W ≤ it ≤ D    linear  m + (1 - m) (1 - p)             p = (it - W) / (D - W)
///               cosine  m + (1 - m) (1 + cos πp) / 2
///               wsd     m + (1 - m) (1 - p'), and 1 before the decay begins at S = max(W, D (1 - d));   p' = (it - S) / (D - S)
/// W ≤ it        step, piecewise, replay   what is said of them
/// it > D        m, but 1 for a constant schedule
/// </code>
/// D may exceed the steps of the run; then the run ends before the final fraction is reached.
/// </remarks>
public sealed record Schedule
{
    /// <summary>The schedule that is 1 at every step.</summary>
    public static Schedule Constant { get; } = new();

    /// <summary>What follows the warm-up.</summary>
    public ScheduleShape Shape { get; init; } = ScheduleShape.Constant;

    /// <summary>W, the steps of the linear warm-up.</summary>
    public long WarmupSteps { get; init; }

    /// <summary>1: the first step has 1 / (W + 1), as nanoGPT does today. 0: the first step has 0, as nanoGPT did in 2023.</summary>
    public int WarmupOffset { get; init; } = 1;

    /// <summary>D, the step at which the decay ends; unused when constant.</summary>
    public long Steps { get; init; }

    /// <summary>m, the multiplier at the end of the decay.</summary>
    public double FinalFraction { get; init; } = 0.1;

    /// <summary>d, the share of <see cref="Steps"/> that the decay of <see cref="ScheduleShape.WarmupStableDecay"/> takes.</summary>
    public double DecayFraction { get; init; } = 0.2;

    /// <summary>Steps, counted from 0 and ascending, with multipliers, of <see cref="ScheduleShape.Step"/> and <see cref="ScheduleShape.Piecewise"/>.</summary>
    public IReadOnlyList<(long Step, double Multiplier)> Points { get; init; } = [];

    /// <summary>The multiplier of each step of <see cref="ScheduleShape.Replay"/>.</summary>
    public IReadOnlyList<double> Recorded { get; init; } = [];

    /// <summary>The schedule min(1, t / steps), with t = it + 1; 1 at every step when <paramref name="steps"/> is at most 1.</summary>
    public static Schedule Ramp(long steps) => new() { WarmupSteps = Math.Max(steps - 1, 0) };

    /// <summary>The multiplier of one optimizer step.</summary>
    /// <param name="stepFromZero">it = t - 1.</param>
    public double Multiplier(long stepFromZero)
    {
        if (stepFromZero < WarmupSteps)
            return (double)(stepFromZero + WarmupOffset) / (WarmupSteps + WarmupOffset);
        return Shape switch
        {
            ScheduleShape.Constant => 1,
            ScheduleShape.Linear => Between(1 - Progress(stepFromZero, WarmupSteps)),
            ScheduleShape.Cosine => Between(0.5 * (1 + Math.Cos(Math.PI * Progress(stepFromZero, WarmupSteps)))),
            ScheduleShape.WarmupStableDecay => Between(1 - Progress(stepFromZero, Math.Max(WarmupSteps, Steps * (1 - DecayFraction)))),
            ScheduleShape.Step => LastPoint(stepFromZero) is var point and >= 0 ? Points[point].Multiplier : 1,
            ScheduleShape.Piecewise => Interpolated(stepFromZero),
            _ => Recorded[(int)stepFromZero],
        };
    }

    /// <summary>Checks the values of a learning rate schedule, naming the options that set them.</summary>
    /// <exception cref="RequestException">A value is impossible.</exception>
    public Schedule Validated()
    {
        if (WarmupSteps < 0)
            throw new RequestException($"--warmup-steps must be 0 or more, but is {WarmupSteps}.");
        if (WarmupOffset is not (0 or 1))
            throw new RequestException($"--warmup-offset must be 0 or 1, but is {WarmupOffset}.");
        if (Shape is ScheduleShape.Linear or ScheduleShape.Cosine or ScheduleShape.WarmupStableDecay && Steps < 1)
            throw new RequestException($"the learning rate's schedule needs the number of steps over which it decays (--steps), but has {Steps}.");
        if (FinalFraction is not (>= 0 and <= 1))
            throw new RequestException($"--final-lr-fraction must lie in [0, 1], but is {Number.Text(FinalFraction)}.");
        if (DecayFraction is not (>= 0 and <= 1))
            throw new RequestException($"--wsd-decay-fraction must lie in [0, 1], but is {Number.Text(DecayFraction)}.");
        return this;
    }

    private double Between(double share) => FinalFraction + ((1 - FinalFraction) * share);

    private double Progress(long step, double start) => step >= Steps ? 1 : Math.Max(0, (step - start) / (Steps - start));

    private int LastPoint(long step)
    {
        int last = Points.Count - 1;
        while (last >= 0 && Points[last].Step > step)
            last--;
        return last;
    }

    private double Interpolated(long step)
    {
        int left = LastPoint(step);
        if (left < 0)
            return Points[0].Multiplier;
        if (left == Points.Count - 1)
            return Points[left].Multiplier;
        ((long from, double start), (long to, double end)) = (Points[left], Points[left + 1]);
        return start + ((end - start) * (step - from) / (to - from));
    }
}
