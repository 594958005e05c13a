namespace Trainer.Cpu;

internal sealed unsafe partial class CpuOperations<TVector>
{
    public override void UpdateAverage(float* average, float* weights, long count, float coefficient) =>
        Team.Run(new AverageJob { Average = average, Weights = weights, Count = count, Coefficient = coefficient },
            checked((int)((count + BlockElements - 1) / BlockElements)));

    private struct AverageJob : ITeamJob
    {
        public required float* Average, Weights;
        public required long Count;
        public required float Coefficient;

        public readonly void Run(int item, int worker)
        {
            long start = (long)item * BlockElements;
            float* to = Average + start, from = Weights + start;
            int count = (int)Math.Min(BlockElements, Count - start), i = 0;
            for (; i <= count - TVector.Width; i += TVector.Width)
                Step<TVector>(to + i, from + i);
            for (; i < count; i++)
                Step<Float1>(to + i, from + i);
        }

        private readonly void Step<T>(float* to, float* from)
            where T : struct, IVector<T> =>
            T.Store(T.MultiplyAdd(T.Create(Coefficient), T.Load(to), T.Create(1f - Coefficient) * T.Load(from)), to);
    }
}
