using Trainer.Optimization;

namespace Trainer.Diagnostics;

/// <summary>What a regulariser and its schedule are doing: effective learning rates, equilibrium, factors and constraints.</summary>
/// <param name="optimizer">What took the step.</param>
/// <param name="decay">What follows from its weight decay.</param>
public sealed class RuleDiagnostics(WeightOptimizer optimizer, DecayCourse decay)
{
    /// <summary>Adds everything of the last finished step.</summary>
    /// <param name="values">What is added to.</param>
    /// <param name="learningRate">lr_t of the regularised set.</param>
    /// <param name="decayed">The sums of the regularised set.</param>
    /// <param name="factors">s of every segment.</param>
    public void AddTo(DiagnosticValues values, double learningRate, in NormSums decayed, ReadOnlySpan<double> factors)
    {
        ArgumentNullException.ThrowIfNull(values);
        AddRates(values, learningRate, decayed);
        AddUnits(values, factors);
    }

    private void AddRates(DiagnosticValues values, double learningRate, in NormSums decayed)
    {
        const string set = DiagnosticGroup.Decayed;
        long step = optimizer.StepsTaken;
        if (decayed.After > 0)
        {
            values.Add("elrSign", set, learningRate / decayed.Norm);
            values.Add("elrSignRms", set, learningRate / decayed.RootMeanSquare);
            values.Add("elrSgd", set, learningRate / decayed.After);
        }

        double share = decay.Share(step);
        values.Add("Lambda", decay.Total(step));
        if (!(share > 0) || !(learningRate > 0))
            return;
        values.Add("tau", decay.TimeConstant(step));
        values.Add("predictedAngle", set, decay.PredictedAngle(step));
        values.Add("eqRatioSgd", set, decay.SgdEquilibrium(step, learningRate, decayed.After));
        values.Add("eqRatioAdam", set, decay.AdamEquilibrium(step, learningRate, decayed.RootMeanSquare));
    }

    // Rows are too many to be told one by one.
    private void AddUnits(DiagnosticValues values, ReadOnlySpan<double> factors)
    {
        Regularizer rule = optimizer.Regularizer;
        if (rule.Options.EffectiveScope == NormScope.Row || rule.Options.Kind is RegularizerKind.None or RegularizerKind.L2)
            return;
        foreach (WeightUnit unit in rule.Units)
            values.Add("scale", unit.Name, factors[unit.Segments[0]]);
        if (rule is NormControl control)
        {
            foreach (WeightUnit unit in rule.Units)
            {
                double target = control.TargetNorm(unit, optimizer.StepsTaken);
                values.Add("targetGap", unit.Name, target > 0 ? (unit.Norm(optimizer.Sums.Weights) - target) / target : double.NaN);
            }
        }

        if (rule is ParameterBound bound)
            AddBounds(values, bound);
    }

    private void AddBounds(DiagnosticValues values, ParameterBound bound)
    {
        bound.Start(optimizer.InitialSums, optimizer.State().RuleState);
        foreach (WeightUnit unit in bound.Units)
        {
            double norm = unit.Norm(optimizer.Sums.Weights), multiplier = bound.Multiplier(unit);
            values.Add("cprLambda", unit.Name, multiplier);
            values.Add("cprKappa", unit.Name, bound.Bound(unit));
            values.Add("cprR", unit.Name, norm * norm);
            values.Add("cprActive", unit.Name, multiplier > 0 ? 1 : 0);
        }
    }
}
