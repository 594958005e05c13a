using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Diagnostics;

/// <summary>Norms, ratios and angles of every group, from what a step finds of every segment: nothing is read from the device.</summary>
/// <param name="layout">Where each tensor is.</param>
/// <param name="optimizer">What took the step.</param>
/// <param name="groups">The groups.</param>
public sealed class NormDiagnostics(ParameterLayout layout, WeightOptimizer optimizer, IReadOnlyList<DiagnosticGroup> groups)
{
    private readonly double[] _factors = new double[optimizer.Regularizer.Segments.Count];

    /// <summary>s of every segment, as <see cref="Measure"/> found them.</summary>
    public ReadOnlySpan<double> Factors => _factors;

    /// <summary>The sums of every tensor over the last finished step.</summary>
    public NormSums[] Measure()
    {
        optimizer.Factors(_factors);
        WeightSegments segments = optimizer.Regularizer.Segments;
        var tensors = new NormSums[layout.Tensors.Count];
        for (int tensor = 0; tensor < tensors.Length; tensor++)
        {
            (int start, int count) = segments.Of(tensor).GetOffsetAndLength(segments.Count);
            for (int segment = start; segment < start + count; segment++)
            {
                double before = optimizer.SumsBefore[segment];
                tensors[tensor] += NormSums.Of(segments.Segments[segment].Count, optimizer.InitialSums[segment], before, optimizer.Sums.Weights[segment],
                    optimizer.Sums.Gradients[segment], optimizer.Sums.Change(segment, before), _factors[segment]);
            }
        }

        return tensors;
    }

    /// <summary>The sums of a group.</summary>
    /// <param name="tensors">Those of every tensor.</param>
    /// <param name="group">The group.</param>
    public static NormSums Total(IReadOnlyList<NormSums> tensors, DiagnosticGroup group)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        ArgumentNullException.ThrowIfNull(group);
        return group.Tensors.Aggregate(default(NormSums), (sum, tensor) => sum + tensors[tensor]);
    }

    /// <summary>Adds norm, rms, ratio, gradNorm, updateRatio with its two parts, and angle of every group.</summary>
    /// <param name="values">What they are added to.</param>
    /// <param name="tensors">The sums of every tensor.</param>
    public void AddTo(DiagnosticValues values, IReadOnlyList<NormSums> tensors)
    {
        ArgumentNullException.ThrowIfNull(values);
        NormSums[] sums = [.. groups.Select(group => Total(tensors, group))];
        Add("norm", static sum => sum.Norm);
        Add("rms", static sum => sum.RootMeanSquare);
        Add("ratio", static sum => sum.Ratio);
        Add("gradNorm", static sum => sum.GradientNorm);
        Add("updateRatio", static sum => sum.UpdateRatio);
        Add("updateRatioDescent", static sum => sum.DescentRatio);
        Add("updateRatioDecay", static sum => sum.Decay > 0 ? sum.DecayRatio : double.NaN);
        Add("angle", static sum => sum.Angle);

        void Add(string name, Func<NormSums, double> value)
        {
            for (int i = 0; i < sums.Length; i++)
                values.Add(name, groups[i].Name, value(sums[i]));
        }
    }
}
