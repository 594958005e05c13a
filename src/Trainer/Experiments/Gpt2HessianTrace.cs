using Trainer.Compute;
using Trainer.Model;

namespace Trainer.Experiments;

/// <summary>
/// The trace of the Hessian of a GPT-2's mean loss on a fixed probe batch, over all its parameters but the padding rows of the token embedding,
/// which no loss depends on.
/// </summary>
/// <remarks>
/// The parameters are moved on the device and put back to the bit; gradients and loss of the model are overwritten. It costs two forward and
/// backward passes over the probe batch for each probe, and six vectors of fp32 parameters on the host. Only fp32 is exact enough: the gradient is
/// known to about 1e-7 of its size, which the difference over a step of 1e-3 turns into 1e-4; TF32 and bf16 round by more than the step.
/// </remarks>
public sealed class Gpt2HessianTrace
{
    private readonly IBackend _backend;
    private readonly Gpt2 _model;
    private readonly int[] _tokens;
    private readonly int[] _targets;
    private readonly int _batchSize;
    private readonly int _sequenceLength;
    private readonly int _paddingStart;
    private readonly int _paddingEnd;

    /// <summary>Chooses the probe batch.</summary>
    /// <param name="backend">Where the model is; computes in fp32.</param>
    /// <param name="model">Built for training; stays the caller's.</param>
    /// <param name="tokens">(micro-batches · B, T) ids below V.</param>
    /// <param name="targets">(micro-batches · B, T) ids below V: the token after each.</param>
    /// <param name="batchSize">B, the sequences of a micro-batch.</param>
    /// <param name="sequenceLength">T.</param>
    /// <exception cref="RequestException">The precision is not fp32, or the tokens are no whole number of micro-batches.</exception>
    /// <exception cref="ArgumentException">The model has no gradients.</exception>
    public Gpt2HessianTrace(IBackend backend, Gpt2 model, ReadOnlySpan<int> tokens, ReadOnlySpan<int> targets, int batchSize, int sequenceLength)
    {
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentNullException.ThrowIfNull(model);
        if (backend.Precision != Precision.Float32)
        {
            throw new RequestException(
                $"the Hessian's trace needs --precision fp32, not {backend.Precision}: its differences of gradients are smaller than the rounding.");
        }

        if (model.Gradients.IsNone)
            throw new ArgumentException("the model is not built for training and has no gradients", nameof(model));
        if (batchSize <= 0 || sequenceLength <= 0 || tokens.Length == 0 || targets.Length != tokens.Length
            || tokens.Length % ((long)batchSize * sequenceLength) != 0)
        {
            throw new RequestException(
                $"{tokens.Length} tokens and {targets.Length} targets are no whole number of probe batches of {batchSize} x {sequenceLength} tokens.");
        }

        (_backend, _model, _batchSize, _sequenceLength) = (backend, model, batchSize, sequenceLength);
        (_tokens, _targets) = (tokens.ToArray(), targets.ToArray());
        _paddingStart = checked(model.Config.Vocabulary * model.Config.Channels);
        _paddingEnd = checked(model.Config.PaddedVocabulary * model.Config.Channels);
    }

    /// <summary>Estimates the trace at the model's parameters as they are now.</summary>
    /// <exception cref="RequestException">A setting is out of its range, or the parameters are zero or not finite.</exception>
    public HessianEstimate Estimate(HessianTraceOptions options)
    {
        var parameters = new float[checked((int)_model.Layout.Count) - (_paddingEnd - _paddingStart)];
        Download(_model.Parameters, parameters);
        try
        {
            return HessianTrace.Estimate<float>(parameters, Gradient, options);
        }
        finally
        {
            Upload(parameters);
        }
    }

    /// <summary>The gradient at other parameters, which the model keeps.</summary>
    /// <param name="parameters">All but the padding rows.</param>
    /// <param name="gradient">As many, overwritten.</param>
    internal void Gradient(ReadOnlySpan<float> parameters, Span<float> gradient)
    {
        Upload(parameters);
        int size = _batchSize * _sequenceLength;
        int batches = _tokens.Length / size;
        for (int i = 0; i < batches; i++)
            _model.LossAndGradients(_tokens.AsSpan(i * size, size), _targets.AsSpan(i * size, size), _batchSize, _sequenceLength, batches, accumulate: i > 0);
        Download(_model.Gradients, gradient);
    }

    private void Upload(ReadOnlySpan<float> parameters)
    {
        var all = _model.Parameters;
        _backend.Upload(parameters[.._paddingStart], all.Slice(0, new Shape(_paddingStart)));
        _backend.Upload(parameters[_paddingStart..], all.Slice(_paddingEnd, new Shape(parameters.Length - _paddingStart)));
        _model.RefreshWeights();
    }

    private void Download(Tensor all, Span<float> values)
    {
        _backend.Download(all.Slice(0, new Shape(_paddingStart)), values[.._paddingStart]);
        _backend.Download(all.Slice(_paddingEnd, new Shape(values.Length - _paddingStart)), values[_paddingStart..]);
    }
}
