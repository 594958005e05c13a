using Trainer.Compute;
using Trainer.Optimization;

namespace Trainer.Model;

/// <summary>All device memory of a model, its optimizer and their scratch: one allocation, divided as its <see cref="MemoryPlan"/> says.</summary>
internal sealed class ModelMemory : IDisposable
{
    private readonly IBackend _backend;
    private readonly Tensor _all;

    /// <summary>Allocates what a plan says.</summary>
    /// <param name="backend">The device.</param>
    /// <param name="plan">The regions.</param>
    /// <param name="channels">C: parameters, gradients and moments lie in rows of so many.</param>
    public ModelMemory(IBackend backend, MemoryPlan plan, int channels)
    {
        (_backend, Plan) = (backend, plan);
        var shape = new Shape(checked((int)(plan.Parameters / channels)), channels);
        _all = backend.Allocate(ElementType.Byte, Shape.Holding(plan.Total));
        var arena = new Arena(_all);
        Tensors = new TrainingTensors(
            Weights: arena.Take(plan.Precision.Working, shape), Master: Floats(plan.HasMaster), Gradients: Floats(plan.Trains),
            FirstMoment: Floats(plan.Trains), SecondMoment: Floats(plan.Trains));
        Averages = [.. Enumerable.Range(0, plan.Averages).Select(_ => Floats(needed: true))];
        Activations = arena.TakeArena(plan.ActivationBytes);
        if (plan.WorkspaceBytes > 0)
            backend.UseWorkspace(arena.Take(ElementType.Byte, Shape.Holding(plan.WorkspaceBytes)));

        Tensor Floats(bool needed) => needed ? arena.Take(ElementType.Float32, shape) : default;
    }

    /// <summary>What was planned.</summary>
    public MemoryPlan Plan { get; }

    /// <summary>Parameters and what the optimizer keeps; those that the use of the model does not need are none.</summary>
    public TrainingTensors Tensors { get; }

    /// <summary>Averages of the weights, fp32, in rows like them.</summary>
    public IReadOnlyList<Tensor> Averages { get; }

    /// <summary>The memory of activations.</summary>
    public Arena Activations { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        _backend.UseWorkspace(default);
        _backend.Free(_all);
    }
}
