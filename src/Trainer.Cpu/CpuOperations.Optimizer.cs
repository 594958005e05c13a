using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Trainer.Optimization;

namespace Trainer.Cpu;

internal sealed unsafe partial class CpuOperations<TVector>
{
    /// <summary>
    /// Elements that one item covers. Sums are made per block and then added in order, so the grouping depends on the lengths of the
    /// segments alone.
    /// </summary>
    private const int BlockElements = 32768;

    private readonly Scratch<Block> _blocks = new();
    private readonly Scratch<double> _blockSums = new();
    private readonly Scratch<BlockTotals> _blockTotals = new();

    public override void SumOfSquares(float* values, ReadOnlySpan<Segment> segments, Span<double> sums)
    {
        int count = 0;
        foreach (var segment in segments)
            count += BlocksOf(segment);
        Block* blocks = _blocks.Ensure(count);
        int next = 0;
        for (int i = 0; i < segments.Length; i++)
            next = AppendBlocks(blocks, next, segments[i], i);
        double* blockSums = _blockSums.Ensure(count);
        Team.Run(new SumOfSquaresJob { Values = values, Blocks = blocks, Sums = blockSums }, count);
        AddBlockSums(blocks, blockSums, count, sums);
    }

    public override void AdamUpdate(float* weights, float* gradients, float* firstMoment, float* secondMoment,
        ReadOnlySpan<SegmentUpdate> updates, in AdamStep step, Span<double> sums, Span<double> changes, WeightRounding? rounding)
    {
        var rule = new AdamRule
        {
            M = firstMoment, V = secondMoment, Beta1 = step.Beta1, Beta2 = step.Beta2, Epsilon = step.Epsilon,
            Correction1 = (float)(1.0 / (1.0 - Math.Pow(step.Beta1, step.Step))),
            Correction2 = (float)(1.0 / (1.0 - Math.Pow(step.Beta2, step.Step))),
        };
        Update(rule, weights, gradients, step.GradientScale, updates, sums, changes, rounding);
    }

    public override void SgdUpdate(float* weights, float* gradients, float* momentum,
        ReadOnlySpan<SegmentUpdate> updates, in SgdStep step, Span<double> sums, Span<double> changes, WeightRounding? rounding)
    {
        var rule = new SgdRule { M = momentum, Momentum = step.Momentum, Gain = step.Gain, RateInMomentum = step.RateInMomentum };
        Update(rule, weights, gradients, step.GradientScale, updates, sums, changes, rounding);
    }

    public override void AddScaled(float* values, float* addend, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors)
    {
        int count = 0;
        for (int i = 0; i < segments.Length; i++)
            count += factors[i] == 0f ? 0 : BlocksOf(segments[i]);
        Block* blocks = _blocks.Ensure(count);
        int next = 0;
        for (int i = 0; i < segments.Length; i++)
        {
            if (factors[i] != 0f)
                next = AppendBlocks(blocks, next, segments[i], i);
        }

        fixed (float* pinned = factors)
            Team.Run(new AddScaledJob { Values = values, Addend = addend, Blocks = blocks, Factors = pinned }, count);
    }

    public override void Scale(float* values, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors)
    {
        int count = CountScaled(segments, factors);
        Block* blocks = _blocks.Ensure(count);
        int next = 0;
        for (int i = 0; i < segments.Length; i++)
        {
            if (factors[i] != 1f)
                next = AppendBlocks(blocks, next, segments[i], i);
        }

        fixed (float* pinned = factors)
            Team.Run(new ScaleJob { Values = values, Blocks = blocks, Factors = pinned }, count);
    }

    private void Update<TRule>(in TRule rule, float* weights, float* gradients, float gradientScale,
        ReadOnlySpan<SegmentUpdate> updates, Span<double> sums, Span<double> changes, WeightRounding? rounding)
        where TRule : struct, IUpdateRule
    {
        if (rounding is null)
        {
            Update(rule, default(ExactWeights), weights, gradients, gradientScale, updates, sums, changes, [], []);
            return;
        }

        fixed (float* before = rounding.Before)
        {
            var store = new RoundedWeights(rounding, RoundingPass.Update) { Before = before };
            Update(rule, store, weights, gradients, gradientScale, updates, sums, changes, rounding.Moved, rounding.Lost);
        }
    }

    private void Update<TRule, TStore>(in TRule rule, in TStore store, float* weights, float* gradients, float gradientScale,
        ReadOnlySpan<SegmentUpdate> updates, Span<double> sums, Span<double> changes, Span<double> moved, Span<double> lost)
        where TRule : struct, IUpdateRule
        where TStore : struct, IWeightStore
    {
        int count = 0;
        foreach (var update in updates)
            count += BlocksOf(update.Segment);
        Block* blocks = _blocks.Ensure(count);
        int next = 0;
        for (int i = 0; i < updates.Length; i++)
            next = AppendBlocks(blocks, next, updates[i].Segment, i);
        double* blockSums = _blockSums.Ensure((TStore.Counts ? 4 : 2) * count);
        fixed (SegmentUpdate* pinned = updates)
        {
            Team.Run(new UpdateJob<TRule, TStore>
            {
                Rule = rule, Store = store, W = weights, G = gradients, GradientScale = gradientScale, Blocks = blocks, Updates = pinned, Sums = blockSums, Changes = blockSums + count,
                Moved = blockSums + (2 * count), Lost = blockSums + (3 * count),
            }, count);
        }

        AddBlockSums(blocks, blockSums, count, sums);
        AddBlockSums(blocks, blockSums + count, count, changes);
        if (!TStore.Counts)
            return;
        AddBlockSums(blocks, blockSums + (2 * count), count, moved);
        AddBlockSums(blocks, blockSums + (3 * count), count, lost);
    }

    private static int CountScaled(ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors)
    {
        int count = 0;
        for (int i = 0; i < segments.Length; i++)
            count += factors[i] == 1f ? 0 : BlocksOf(segments[i]);
        return count;
    }

    private static int BlocksOf(Segment segment) => (int)((segment.Count + BlockElements - 1) / BlockElements);

    private static int AppendBlocks(Block* blocks, int next, Segment segment, int index)
    {
        for (long done = 0; done < segment.Count; done += BlockElements)
            blocks[next++] = new Block(segment.Offset + done, (int)Math.Min(BlockElements, segment.Count - done), index);
        return next;
    }

    private static void AddBlockSums(Block* blocks, double* blockSums, int count, Span<double> sums)
    {
        sums.Clear();
        for (int i = 0; i < count; i++)
            sums[blocks[i].Segment] += blockSums[i];
    }

    /// <summary>Part of a segment.</summary>
    private readonly record struct Block(long Offset, int Count, int Segment);

    private struct SumOfSquaresJob : ITeamJob
    {
        public required float* Values;
        public required Block* Blocks;
        public required double* Sums;

        public readonly void Run(int item, int worker)
        {
            var block = Blocks[item];
            float* x = Values + block.Offset;
            var sums = Vector512<double>.Zero;
            int i = 0;
            for (; i <= block.Count - TVector.Width; i += TVector.Width)
                TVector.AddSquares(TVector.Load(x + i), ref sums);
            for (; i < block.Count; i++)
                Float1.AddSquares(Float1.Load(x + i), ref sums);
            Sums[item] = Vector512.Sum(sums);
        }
    }

    private struct ScaleJob : ITeamJob
    {
        public required float* Values, Factors;
        public required Block* Blocks;

        public readonly void Run(int item, int worker) =>
            ScaleRow(Values + Blocks[item].Offset, Blocks[item].Count, Factors[Blocks[item].Segment]);
    }

    private struct AddScaledJob : ITeamJob
    {
        public required float* Values, Addend, Factors;
        public required Block* Blocks;

        public readonly void Run(int item, int worker)
        {
            var block = Blocks[item];
            float* to = Values + block.Offset, from = Addend + block.Offset;
            float factor = Factors[block.Segment];
            int i = 0;
            for (; i <= block.Count - TVector.Width; i += TVector.Width)
                TVector.Store(TVector.MultiplyAdd(TVector.Create(factor), TVector.Load(from + i), TVector.Load(to + i)), to + i);
            for (; i < block.Count; i++)
                Float1.Store(Float1.MultiplyAdd(Float1.Create(factor), Float1.Load(from + i), Float1.Load(to + i)), to + i);
        }
    }

    /// <summary>What a gradient becomes: the state of an optimizer goes on by one step.</summary>
    private interface IUpdateRule
    {
        /// <summary>The direction u: the weight becomes w - <see cref="RateOf"/> u.</summary>
        T Step<T>(long at, T gradient, float learningRate)
            where T : struct, IVector<T>;

        /// <summary>What u is multiplied by.</summary>
        float RateOf(float learningRate);
    }

    private struct AdamRule : IUpdateRule
    {
        public required float* M, V;
        public required float Beta1, Beta2, Epsilon, Correction1, Correction2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly T Step<T>(long at, T g, float learningRate)
            where T : struct, IVector<T>
        {
            var m = T.MultiplyAdd(T.Create(Beta1), T.Load(M + at), T.Create(1f - Beta1) * g);
            var v = T.MultiplyAdd(T.Create(Beta2), T.Load(V + at), T.Create(1f - Beta2) * g * g);
            T.Store(m, M + at);
            T.Store(v, V + at);
            return m * T.Create(Correction1) / (T.Sqrt(v * T.Create(Correction2)) + T.Create(Epsilon));
        }

        public readonly float RateOf(float learningRate) => learningRate;
    }

    private struct SgdRule : IUpdateRule
    {
        public required float* M;
        public required float Momentum, Gain;
        public required bool RateInMomentum;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public readonly T Step<T>(long at, T g, float learningRate)
            where T : struct, IVector<T>
        {
            var m = T.MultiplyAdd(T.Create(Momentum), T.Load(M + at), T.Create(RateInMomentum ? learningRate : Gain) * g);
            T.Store(m, M + at);
            return m;
        }

        public readonly float RateOf(float learningRate) => RateInMomentum ? 1 : learningRate;
    }

    private struct UpdateJob<TRule, TStore> : ITeamJob
        where TRule : struct, IUpdateRule
        where TStore : struct, IWeightStore
    {
        public required TRule Rule;
        public required TStore Store;
        public required float* W, G;
        public required float GradientScale;
        public required Block* Blocks;
        public required SegmentUpdate* Updates;
        public required double* Sums, Changes, Moved, Lost;

        public readonly void Run(int item, int worker)
        {
            var block = Blocks[item];
            var update = Updates[block.Segment];
            Vector512<double> sums = Vector512<double>.Zero, changes = Vector512<double>.Zero;
            var counts = default(MoveCounts);
            int i = 0;
            for (; i <= block.Count - TVector.Width; i += TVector.Width)
                Update<TVector>(block.Offset + i, update, ref sums, ref changes, ref counts);
            for (; i < block.Count; i++)
                Update<Float1>(block.Offset + i, update, ref sums, ref changes, ref counts);
            Sums[item] = Vector512.Sum(sums);
            Changes[item] = Vector512.Sum(changes);
            if (TStore.Counts)
                (Moved[item], Lost[item]) = (counts.Moved, counts.Lost);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly void Update<T>(long at, in SegmentUpdate update, ref Vector512<double> sums, ref Vector512<double> changes, ref MoveCounts counts)
            where T : struct, IVector<T>
        {
            var old = T.Load(W + at);
            var g = T.MultiplyAdd(T.Create(update.L2), old, T.Create(GradientScale) * T.Load(G + at));
            var u = Rule.Step(at, g, update.LearningRate);
            var w = T.MultiplyAdd(T.Create(-Rule.RateOf(update.LearningRate)), u, T.Create(update.ShrinkBefore) * old) * T.Create(update.ShrinkAfter);
            w = Store.Round(w, old, at, ref counts);
            T.Store(w, W + at);
            T.AddSquares(w, ref sums);
            T.AddSquares(w - old, ref changes);
        }
    }
}
