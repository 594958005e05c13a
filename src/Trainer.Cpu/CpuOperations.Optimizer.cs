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
        ReadOnlySpan<SegmentUpdate> updates, in AdamStep step, Span<double> sums)
    {
        int count = 0;
        foreach (var update in updates)
            count += BlocksOf(update.Segment);
        Block* blocks = _blocks.Ensure(count);
        int next = 0;
        for (int i = 0; i < updates.Length; i++)
            next = AppendBlocks(blocks, next, updates[i].Segment, i);
        double* blockSums = _blockSums.Ensure(count);
        fixed (SegmentUpdate* pinned = updates)
        {
            var job = new AdamJob
            {
                W = weights, G = gradients, M = firstMoment, V = secondMoment, Blocks = blocks, Updates = pinned, Sums = blockSums,
                Beta1 = step.Beta1, Beta2 = step.Beta2, Epsilon = step.Epsilon, GradientScale = step.GradientScale,
                Correction1 = (float)(1.0 / (1.0 - Math.Pow(step.Beta1, step.Step))),
                Correction2 = (float)(1.0 / (1.0 - Math.Pow(step.Beta2, step.Step))),
            };
            Team.Run(job, count);
        }

        AddBlockSums(blocks, blockSums, count, sums);
    }

    public override void Scale(float* values, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors)
    {
        int count = 0;
        for (int i = 0; i < segments.Length; i++)
            count += factors[i] == 1f ? 0 : BlocksOf(segments[i]);
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

    private struct AdamJob : ITeamJob
    {
        public required float* W, G, M, V;
        public required Block* Blocks;
        public required SegmentUpdate* Updates;
        public required double* Sums;
        public required float Beta1, Beta2, Epsilon, GradientScale, Correction1, Correction2;

        public readonly void Run(int item, int worker)
        {
            var block = Blocks[item];
            var update = Updates[block.Segment];
            var sums = Vector512<double>.Zero;
            int i = 0;
            for (; i <= block.Count - TVector.Width; i += TVector.Width)
                TVector.AddSquares(Update<TVector>(block.Offset + i, update), ref sums);
            for (; i < block.Count; i++)
                Float1.AddSquares(Update<Float1>(block.Offset + i, update), ref sums);
            Sums[item] = Vector512.Sum(sums);
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly T Update<T>(long at, in SegmentUpdate update)
            where T : struct, IVector<T>
        {
            var w = T.Load(W + at);
            var g = T.MultiplyAdd(T.Create(update.L2), w, T.Create(GradientScale) * T.Load(G + at));
            var m = T.MultiplyAdd(T.Create(Beta1), T.Load(M + at), T.Create(1f - Beta1) * g);
            var v = T.MultiplyAdd(T.Create(Beta2), T.Load(V + at), T.Create(1f - Beta2) * g * g);
            T.Store(m, M + at);
            T.Store(v, V + at);
            var u = m * T.Create(Correction1) / (T.Sqrt(v * T.Create(Correction2)) + T.Create(Epsilon));
            w = T.MultiplyAdd(T.Create(-update.LearningRate), u, T.Create(update.ShrinkBefore) * w) * T.Create(update.ShrinkAfter);
            T.Store(w, W + at);
            return w;
        }
    }
}
