using System.Globalization;
using Trainer.Compute;

namespace Trainer.Model;

/// <summary>A part of the device memory that a model takes.</summary>
/// <param name="Name">What lies in it.</param>
/// <param name="Type">The type of its elements, for people; empty where it has many.</param>
/// <param name="Bytes">Its size.</param>
public readonly record struct MemoryRegion(string Name, string Type, long Bytes);

/// <summary>The device memory that a model takes, one allocation, computed before any of it is allocated.</summary>
/// <param name="Precision">The formats.</param>
/// <param name="Trains">Whether there are gradients and moments.</param>
/// <param name="Parameters">The number of parameters.</param>
/// <param name="ActivationBytes">What the forward pass keeps and the backward pass works in.</param>
/// <param name="WorkspaceBytes">The scratch memory of operations.</param>
public sealed record MemoryPlan(Precision Precision, bool Trains, long Parameters, long ActivationBytes, long WorkspaceBytes)
{
    private const double Mebibyte = 1024.0 * 1024.0;

    /// <summary>The averages of the weights.</summary>
    public int Averages { get; init; }

    /// <summary>Whether there are master weights.</summary>
    public bool HasMaster => Trains && Precision.HasMaster;

    /// <summary>The parts, in the order in which they lie; those that are not needed are left out.</summary>
    public IReadOnlyList<MemoryRegion> Regions
    {
        get
        {
            const string single = "fp32";
            string working = Precision.Working == ElementType.BFloat16 ? "bf16" : single;
            long floats = Arena.RoundUp(Parameters * sizeof(float));
            var regions = new List<MemoryRegion> { new("weights", working, Arena.RoundUp(Parameters * Tensor.SizeOf(Precision.Working))) };
            if (HasMaster)
                regions.Add(new("master weights", single, floats));
            if (Trains)
                regions.AddRange([new("gradients", single, floats), new("first moment", single, floats), new("second moment", single, floats)]);
            if (Averages > 0)
                regions.Add(new("averages of weights", single, Averages * floats));
            regions.Add(new("activations", working, ActivationBytes));
            if (WorkspaceBytes > 0)
                regions.Add(new("workspace", string.Empty, WorkspaceBytes));
            return regions;
        }
    }

    /// <summary>All of it, in bytes.</summary>
    public long Total => Regions.Sum(region => region.Bytes);

    /// <summary>Computes the memory for passes of these sizes.</summary>
    public static MemoryPlan For(IBackend backend, in PassShape shape, Recompute recompute = Recompute.None)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ElementType working = backend.Precision.Working;
        return new MemoryPlan(backend.Precision, shape.Use == ModelUse.Train, new ParameterLayout(shape.Model).Count,
            Gpt2Activations.Bytes(shape, working, recompute), Arena.RoundUp(backend.WorkspaceBytes(shape)))
        {
            Averages = shape.Averages,
        };
    }

    /// <summary>Refuses a plan that does not fit, naming the largest micro-batch that would.</summary>
    /// <param name="backend">The device, whose free memory is asked for.</param>
    /// <param name="shape">The sizes.</param>
    /// <param name="recompute">What is not kept for the backward pass.</param>
    /// <returns>The plan.</returns>
    /// <exception cref="RequestException">The plan needs more than is free.</exception>
    public static MemoryPlan Fitting(IBackend backend, in PassShape shape, Recompute recompute = Recompute.None)
    {
        var plan = For(backend, shape, recompute);
        long available = backend.AvailableBytes;
        if (plan.Total <= available)
            return plan;
        int fits = 0, tooMany = shape.BatchSize;
        while (tooMany - fits > 1)
        {
            int middle = fits + ((tooMany - fits) / 2);
            if (For(backend, shape with { BatchSize = middle }, recompute).Total <= available)
                fits = middle;
            else
                tooMany = middle;
        }

        string recomputing = plan.Trains && recompute != Recompute.Block ? ", or compute activations again with --recompute block" : string.Empty;
        string advice = fits > 0
            ? $"--batch-size {fits} would fit; keep the tokens per step with --total-batch-tokens{recomputing}."
            : $"not even one sequence fits; choose a smaller --preset or a shorter --seq-len{recomputing}.";
        throw new RequestException(string.Create(CultureInfo.InvariantCulture,
            $"the model needs {plan.Total / Mebibyte:N0} MiB ({plan.Describe()}), but only {available / Mebibyte:N0} MiB are free.\n{advice}"));
    }

    /// <summary>The regions on one line, in MiB.</summary>
    public string Describe() => string.Join(", ",
        Regions.Select(region => string.Create(CultureInfo.InvariantCulture, $"{region.Name} {region.Bytes / Mebibyte:N0}")));
}
