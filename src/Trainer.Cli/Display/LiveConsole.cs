using System.Globalization;
using Spectre.Console;
using Trainer.Metrics;
using Trainer.Training;

namespace Trainer.Cli.Display;

/// <summary>
/// Shows a run on a rich terminal: a progress bar, the latest figures and the loss curve, drawn in place a few times a second between
/// steps; samples, evaluations and checkpoints pass by above them.
/// </summary>
internal sealed class LiveConsole(Terminal terminal, TimeProvider clock) : ITrainingObserver
{
    private const int CurveHeight = 6;

    /// <summary>Five times a second is smooth to the eye and costs nothing that a step would notice.</summary>
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    private TrainingPlan? _plan;
    private Pace? _pace;
    private LossCurve? _curve;
    private StepMetrics _step;
    private EvaluationMetrics? _evaluation;
    private long _drawn;

    /// <inheritdoc/>
    public void Started(TrainingPlan plan)
    {
        _plan = plan;
        _pace = new Pace(clock, plan.FirstStep, plan.Steps);
        _curve = new LossCurve(Math.Clamp(terminal.Screen.Profile.Width - 12, 10, 100), CurveHeight, plan.FirstStep + 1, plan.Steps);
        var grid = new Grid().AddColumn(new GridColumn().NoWrap().PadRight(2)).AddColumn();
        foreach ((string name, string value) in TrainingText.Plan(plan))
            grid.AddRow(new Text(name, Color.Grey), new Text(value));
        terminal.Live.WriteAbove(grid);
    }

    /// <inheritdoc/>
    public void Stepped(in StepMetrics metrics)
    {
        if (_plan is null || _pace is null || _curve is null)
            return;
        _step = metrics;
        _pace.Advance(metrics.Step);
        _curve.Add(metrics.Step, metrics.Loss);
        if (metrics.Step == _plan.FirstStep + 1 || metrics.Step == _plan.Steps || clock.GetElapsedTime(_drawn) >= Interval)
            Draw();
    }

    /// <inheritdoc/>
    public void Evaluated(in EvaluationMetrics metrics)
    {
        _evaluation = metrics;
        Above(TrainingText.Evaluation(metrics), Color.Green);
    }

    /// <inheritdoc/>
    public void Noticed(long step, string text) => Above($"step {step}: {text}", Color.Yellow);

    /// <inheritdoc/>
    public void Sampled(long step, string text) =>
        terminal.Live.WriteAbove(new Panel(new Text(TrainingText.Printable(text))).Header($"sample at step {step}").BorderColor(Color.Grey).Expand());

    /// <inheritdoc/>
    public void Saved(long step, string path) => Above($"step {step}: saved {path}", Color.Grey);

    /// <inheritdoc/>
    public void Finished(TrainingSummary summary)
    {
        if (_step.Step > 0)
            Draw();
        terminal.Live.Close();
        foreach (string line in TrainingText.Summary(summary))
            Above(line, Color.Default);
    }

    private void Above(string text, Color color) => terminal.Live.WriteAbove(new Text(text + "\n", color));

    private void Draw()
    {
        _drawn = clock.GetTimestamp();
        terminal.Live.Draw(new Rows([Bar(), Figures(), .. _curve!.Lines().Select(line => new Text(line, Color.Aqua))]));
    }

    private Text Bar()
    {
        string left = _pace!.Left is { } time ? TrainingText.Time(time) : "?";
        string figures = string.Create(CultureInfo.InvariantCulture, $" step {_step.Step:N0} of {_plan!.Steps:N0}, {100 * _pace.Share:F0} %, {left} left");
        int width = Math.Clamp(terminal.Screen.Profile.Width - figures.Length - 1, 5, 60);
        int full = (int)Math.Round(width * _pace.Share);
        return new Text(new string('━', full) + new string('┄', width - full) + figures, Color.Yellow);
    }

    private Table Figures()
    {
        CultureInfo culture = CultureInfo.InvariantCulture;
        var table = new Table().Border(TableBorder.Rounded).BorderColor(Color.Grey);
        table.AddColumns("loss", "validation", "learning rate", "gradient norm", "weight norm", "tokens/s");
        foreach (TableColumn column in table.Columns)
            column.RightAligned().NoWrap();
        table.AddRow(
            _step.Loss.ToString("F4", culture),
            _evaluation is { } evaluation ? evaluation.ValidationLoss.ToString("F4", culture) : "-",
            _step.LearningRate.ToString("0.00e+0", culture),
            _step.GradientNorm.ToString("F3", culture),
            "x" + _step.NormRatio.ToString("F4", culture),
            _step.TokensPerSecond.ToString("N0", culture));
        return table;
    }
}
