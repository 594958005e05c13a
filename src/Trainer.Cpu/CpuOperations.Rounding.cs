using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Trainer.Optimization;

namespace Trainer.Cpu;

internal sealed unsafe partial class CpuOperations<TVector>
{
    public override void ScaleRounded(float* weights, ReadOnlySpan<Segment> segments, ReadOnlySpan<float> factors,
        WeightRounding rounding, Span<double> sums, Span<double> changes)
    {
        Block* blocks = _blocks.Ensure(CountScaled(segments, factors));
        int count = 0;
        for (int i = 0; i < segments.Length; i++)
        {
            if (factors[i] == 1f)
                continue;
            count = AppendBlocks(blocks, count, segments[i], i);
            sums[i] = changes[i] = rounding.Moved[i] = rounding.Lost[i] = 0;
        }

        BlockTotals* totals = _blockTotals.Ensure(count);
        fixed (float* pinned = factors, before = rounding.Before)
        {
            var store = new RoundedWeights(rounding, RoundingPass.Scaling);
            Team.Run(new ScaleRoundedJob { Values = weights, Factors = pinned, Before = before, Store = store, Blocks = blocks, Totals = totals }, count);
        }

        for (int i = 0; i < count; i++)
        {
            int segment = blocks[i].Segment;
            sums[segment] += totals[i].Squares;
            changes[segment] += totals[i].Changes;
            rounding.Moved[segment] += totals[i].Counts.Moved;
            rounding.Lost[segment] += totals[i].Counts.Lost;
        }
    }

    private struct BlockTotals
    {
        public double Squares, Changes;
        public MoveCounts Counts;
    }

    private struct ScaleRoundedJob : ITeamJob
    {
        public required float* Values, Factors, Before;
        public required RoundedWeights Store;
        public required Block* Blocks;
        public required BlockTotals* Totals;

        public readonly void Run(int item, int worker)
        {
            var block = Blocks[item];
            float factor = Factors[block.Segment];
            Vector512<double> squares = Vector512<double>.Zero, changes = Vector512<double>.Zero;
            var counts = default(MoveCounts);
            int i = 0;
            for (; i <= block.Count - TVector.Width; i += TVector.Width)
                Scale<TVector>(block.Offset + i, factor, ref squares, ref changes, ref counts);
            for (; i < block.Count; i++)
                Scale<Float1>(block.Offset + i, factor, ref squares, ref changes, ref counts);
            Totals[item] = new() { Squares = Vector512.Sum(squares), Changes = Vector512.Sum(changes), Counts = counts };
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private readonly void Scale<T>(long at, float factor, ref Vector512<double> squares, ref Vector512<double> changes, ref MoveCounts counts)
            where T : struct, IVector<T>
        {
            var old = T.Load(Before + at);
            var w = Store.Round(T.Load(Values + at) * T.Create(factor), old, at, ref counts);
            T.Store(w, Values + at);
            T.AddSquares(w, ref squares);
            T.AddSquares(w - old, ref changes);
        }
    }
}
