using Trainer.Compute;
using Trainer.Cuda.Kernels;
using Trainer.Model;

namespace Trainer.Cuda;

/// <content>Linear layers, and what is planned for a model before its first step.</content>
public sealed partial class CudaBackend
{
    /// <inheritdoc/>
    public override long WorkspaceBytes(in PassShape shape)
    {
        ModelConfig model = shape.Model;
        int rows = shape.Rows, c = model.Channels;
        long bytes = _linear.ScratchBytes(LinearShapes(shape));
        if (shape.Use != ModelUse.Train)
            return bytes;
        bytes = Math.Max(bytes, LayerNormScratchBytes(rows, c));
        bytes = Math.Max(bytes, EmbeddingScratchBytes(rows, c));
        return Math.Max(bytes, AttentionScratchBytes(new AttentionShape(shape.BatchSize, shape.SequenceLength, model.Heads, model.HeadSize)));
    }

    /// <inheritdoc/>
    public override void Prepare(in PassShape shape, IReadOnlyDictionary<string, string>? choices) =>
        _linear.Prepare(LinearShapes(shape), choices, measures: shape.Use == ModelUse.Train);

    /// <inheritdoc/>
    protected override void LinearForward(Tensor output, Tensor input, Tensor weight, Tensor bias, Tensor preActivation, int rows, int n, int k) =>
        Run(new(preActivation.IsNone ? LinearForm.Forward : LinearForm.ForwardGelu, rows, n, k, !bias.IsNone, false),
            new(output, input, weight, bias, preActivation));

    /// <inheritdoc/>
    protected override void LinearBackwardInput(Tensor dInput, Tensor dOutput, Tensor weight, Tensor preActivation, int rows, int n, int k) =>
        Run(new(preActivation.IsNone ? LinearForm.BackwardInput : LinearForm.BackwardInputGelu, rows, n, k, false, false),
            new(dInput, dOutput, weight, default, preActivation));

    /// <inheritdoc/>
    protected override void LinearBackwardWeight(Tensor dWeight, Tensor dBias, Tensor dOutput, Tensor input, int rows, int n, int k, bool accumulate) =>
        Run(new(LinearForm.BackwardWeight, rows, n, k, !dBias.IsNone, accumulate), new(dWeight, dOutput, input, dBias, default));

    // Every product of a pass, in the order of the forward pass.
    private static List<LinearShape> LinearShapes(in PassShape shape)
    {
        ModelConfig model = shape.Model;
        int rows = shape.Rows, c = model.Channels;
        var shapes = new List<LinearShape>();
        Add(LinearForm.Forward, 3 * c, c);
        Add(LinearForm.Forward, c, c);
        Add(LinearForm.ForwardGelu, 4 * c, c);
        Add(LinearForm.Forward, c, 4 * c);
        shapes.Add(new(LinearForm.Forward, shape.Use == ModelUse.Sample ? 1 : rows, model.PaddedVocabulary, c, false, false));
        if (shape.Use == ModelUse.Train)
        {
            foreach (bool accumulate in new[] { false, true })
            {
                shapes.Add(new(LinearForm.BackwardWeight, rows, model.PaddedVocabulary, c, false, accumulate));
                foreach (var (n, k) in new[] { (c, 4 * c), (4 * c, c), (c, c), (3 * c, c) })
                    shapes.Add(new(LinearForm.BackwardWeight, rows, n, k, true, accumulate));
            }

            shapes.Add(new(LinearForm.BackwardInput, rows, model.PaddedVocabulary, c, false, false));
            shapes.Add(new(LinearForm.BackwardInputGelu, rows, c, 4 * c, false, false));
            foreach (int n in new[] { 4 * c, c, 3 * c })
                shapes.Add(new(LinearForm.BackwardInput, rows, n, c, false, false));
        }

        return shapes;

        void Add(LinearForm form, int n, int k) => shapes.Add(new(form, rows, n, k, true, false));
    }

    private void Run(in LinearShape shape, in LinearOperands operands) => _linear.For(shape).Run(operands, _scratch);
}
