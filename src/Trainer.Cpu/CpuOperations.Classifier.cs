namespace Trainer.Cpu;

internal sealed unsafe partial class CpuOperations<TVector>
{
    public override void SoftmaxCrossEntropy(float* logits, float* losses, int* targets, int rows, int vocabulary, int stride, float gradientScale)
    {
        var job = new ClassifierJob { Logits = logits, Losses = losses, Targets = targets, V = vocabulary, Vp = stride, GradientScale = gradientScale };
        Team.Run(job, rows);
    }

    private struct ClassifierJob : ITeamJob
    {
        public required float* Logits, Losses;
        public required int* Targets;
        public required int V, Vp;
        public required float GradientScale;

        public readonly void Run(int item, int worker)
        {
            float* logits = Logits + ((long)item * Vp);
            int target = Targets[item];
            float max = Maximum(logits, V);
            float targetLogit = logits[target];
            bool train = GradientScale != 0;
            double sum = SumOfExponentials(logits, V, max, train);
            Losses[item] = (float)(Math.Log(sum) - (targetLogit - (double)max));
            if (!train)
                return;
            ScaleRow(logits, V, (float)(GradientScale / sum));
            logits[target] -= GradientScale;
            new Span<float>(logits + V, Vp - V).Clear();
        }
    }

    private static float Maximum(float* x, int count)
    {
        int i = 0;
        float max = float.NegativeInfinity;
        if (count >= TVector.Width)
        {
            var lanes = TVector.Load(x);
            for (i = TVector.Width; i <= count - TVector.Width; i += TVector.Width)
                lanes = TVector.Max(TVector.Load(x + i), lanes);
            max = TVector.MaxLane(lanes);
        }

        for (; i < count; i++)
            max = MathF.Max(max, x[i]);
        return max;
    }

    /// <summary>Σ exp(x - max), lanes summed in single precision over short stretches, those in double; exp(x - max) kept in place if asked.</summary>
    private static double SumOfExponentials(float* x, int count, float max, bool keep)
    {
        const int Stretch = 1024;
        double sum = 0;
        var shift = TVector.Create(max);
        int i = 0;
        while (i <= count - TVector.Width)
        {
            var lanes = TVector.Create(0f);
            int end = Math.Min(i + Stretch, count - TVector.Width + 1);
            for (; i < end; i += TVector.Width)
            {
                var e = VectorMath.Exp(TVector.Load(x + i) - shift);
                lanes += e;
                if (keep)
                    TVector.Store(e, x + i);
            }

            sum += TVector.Sum(lanes);
        }

        for (; i < count; i++)
        {
            var e = VectorMath.Exp(Float1.Load(x + i) - Float1.Create(max));
            sum += Float1.Sum(e);
            if (keep)
                Float1.Store(e, x + i);
        }

        return sum;
    }

    private static void ScaleRow(float* x, int count, float factor)
    {
        var lanes = TVector.Create(factor);
        int i = 0;
        for (; i <= count - TVector.Width; i += TVector.Width)
            TVector.Store(TVector.Load(x + i) * lanes, x + i);
        for (; i < count; i++)
            x[i] *= factor;
    }
}
