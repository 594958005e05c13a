namespace Trainer.Cli.Display;

/// <summary>How far a run is and how long the rest takes, by the wall time of the part that was watched.</summary>
internal sealed class Pace
{
    private readonly TimeProvider _clock;
    private readonly long _started;
    private readonly long _first;
    private readonly long _steps;
    private long _step;

    /// <summary>Begins to watch.</summary>
    /// <param name="clock">Tells the time.</param>
    /// <param name="firstStep">The steps already taken.</param>
    /// <param name="steps">The last step.</param>
    public Pace(TimeProvider clock, long firstStep, long steps)
    {
        (_clock, _first, _steps, _step) = (clock, firstStep, steps, firstStep);
        _started = clock.GetTimestamp();
    }

    /// <summary>The share of all steps that is taken, in [0, 1].</summary>
    public double Share => _steps == 0 ? 1 : (double)_step / _steps;

    /// <summary>The time that the remaining steps take if they take as long as those before; null before the first.</summary>
    public TimeSpan? Left => _step == _first ? null : _clock.GetElapsedTime(_started) * ((double)(_steps - _step) / (_step - _first));

    /// <summary>Notes a step that was taken.</summary>
    public void Advance(long step) => _step = step;
}
