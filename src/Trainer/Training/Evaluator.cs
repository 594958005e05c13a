using System.Globalization;
using Trainer.Data;
using Trainer.Diagnostics;
using Trainer.Model;
using Trainer.Optimization;

namespace Trainer.Training;

/// <summary>
/// Mean losses on fixed samples of both splits: as many sequences of each, drawn without replacement, the same ones every time and in every
/// run on the same data, so that runs can be compared.
/// </summary>
public sealed class Evaluator
{
    private const ulong Seed = 0;

    private readonly BatchLoader _validation;
    private readonly BatchLoader _train;
    private readonly int[] _tokens;
    private readonly int[] _targets;
    private readonly int _batches;

    /// <summary>Chooses the samples.</summary>
    /// <param name="data">Both splits.</param>
    /// <param name="batchSize">B, at most; a split with fewer sequences is taken whole.</param>
    /// <param name="sequenceLength">T.</param>
    /// <param name="batches">The batches of one evaluation, at most.</param>
    /// <exception cref="RequestException">A split is shorter than one sequence.</exception>
    public Evaluator(TrainingData data, int batchSize, int sequenceLength, int batches)
    {
        ArgumentNullException.ThrowIfNull(data);
        var whole = new BatchLoader(data.Validation, 1, sequenceLength, data.Vocabulary, DataOrder.Shuffled, Seed);
        int b = (int)Math.Min(batchSize, whole.SequencesPerEpoch);
        _batches = (int)Math.Clamp(whole.SequencesPerEpoch / b, 1, batches);
        _validation = new BatchLoader(data.Validation, b, sequenceLength, data.Vocabulary, DataOrder.Shuffled, Seed);
        _train = new BatchLoader(data.Train, b, sequenceLength, data.Vocabulary, DataOrder.Shuffled, Seed);
        _tokens = new int[b * sequenceLength];
        _targets = new int[b * sequenceLength];
    }

    /// <summary>The tokens of each split that one evaluation reads.</summary>
    public long Tokens => (long)_batches * _tokens.Length;

    /// <summary>The mean loss on validation tokens.</summary>
    public double ValidationLoss(Gpt2 model) => Loss(model, _validation);

    /// <summary>The mean loss on training tokens.</summary>
    public double TrainLoss(Gpt2 model) => Loss(model, _train);

    /// <summary>The first batch of training tokens that an evaluation reads.</summary>
    public ProbeBatch Probe()
    {
        _train.Position = 0;
        var (tokens, targets) = (new int[_tokens.Length], new int[_tokens.Length]);
        _train.Next(tokens, targets);
        return new ProbeBatch(tokens, targets, _train.BatchSize, _train.SequenceLength);
    }

    /// <summary>Both losses of each average of the weights, as <c>valLossEma/0.99</c> and <c>trainLossEma/0.99</c>.</summary>
    public IReadOnlyList<(string Name, double Loss)> AverageLosses(Gpt2 model, WeightAverages averages)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(averages);
        var losses = new List<(string Name, double Loss)>();
        for (int i = 0; i < averages.Coefficients.Count; i++)
        {
            string coefficient = averages.Coefficients[i].ToString(CultureInfo.InvariantCulture);
            losses.Add(($"valLossEma/{coefficient}", model.WithWeights(averages.Tensors[i], () => ValidationLoss(model))));
            losses.Add(($"trainLossEma/{coefficient}", model.WithWeights(averages.Tensors[i], () => TrainLoss(model))));
        }

        return losses;
    }

    private double Loss(Gpt2 model, BatchLoader loader)
    {
        ArgumentNullException.ThrowIfNull(model);
        loader.Position = 0;
        for (int i = 0; i < _batches; i++)
        {
            loader.Next(_tokens, _targets);
            model.ForwardLoss(_tokens, _targets, loader.BatchSize, loader.SequenceLength, _batches, accumulate: i > 0);
        }

        return model.ReadLoss();
    }
}
