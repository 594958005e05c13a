namespace Trainer.Cpu;

internal sealed unsafe partial class CpuOperations<TVector>
{
    private const float LayerNormEpsilon = 1e-5f;

    /// <summary>
    /// Rows over which one item adds up parameter gradients. The partial sums of all items are then added in order: the grouping
    /// depends on the number of rows alone.
    /// </summary>
    private const int RowsPerPartialSum = 64;

    public override void LayerNormForward(
        float* sum, float* output, float* mean, float* rstd, float* input, float* branch, float* weight, float* bias, int rows, int c)
    {
        var job = new LayerNormForwardJob
        {
            Sum = sum, Output = output, Mean = mean, Rstd = rstd, Input = input, Branch = branch, Weight = weight, Bias = bias, Rows = rows, C = c,
        };
        Team.Run(job, Blocks(rows, RowsPerItem));
    }

    public override void LayerNormBackward(
        float* dInput, float* dWeight, float* dBias, float* dOutput, float* input, float* weight, float* mean, float* rstd, int rows, int c)
    {
        int blocks = Blocks(rows, RowsPerPartialSum);
        float* partial = _partialSums.Ensure((long)blocks * 2 * c);
        var job = new LayerNormBackwardJob
        {
            DInput = dInput, DOutput = dOutput, Input = input, Weight = weight, Mean = mean, Rstd = rstd, Partial = partial, Rows = rows, C = c,
        };
        Team.Run(job, blocks);
        AddPartialSums(dWeight, partial, blocks, c, 2 * c);
        AddPartialSums(dBias, partial + c, blocks, c, 2 * c);
    }

    /// <summary><c>target[j] += Σ partial[block · stride + j]</c>, blocks in order.</summary>
    private static void AddPartialSums(float* target, float* partial, int blocks, int count, int stride)
    {
        for (int block = 0; block < blocks; block++)
            Add(target, partial + ((long)block * stride), count);
    }

    private struct LayerNormForwardJob : ITeamJob
    {
        public required float* Sum, Output, Mean, Rstd, Input, Branch, Weight, Bias;
        public required int Rows, C;

        public readonly void Run(int item, int worker)
        {
            int end = Math.Min(Rows, (item + 1) * RowsPerItem);
            for (int row = item * RowsPerItem; row < end; row++)
            {
                long at = (long)row * C;
                float* x = Input + at;
                if (Branch != null)
                {
                    AddRows(x, Branch + at, Sum + at, C);
                    x = Sum + at;
                }

                float mean = SumOf(x, C) / C;
                float rstd = 1f / MathF.Sqrt((SumOfSquaredDeviations(x, mean, C) / C) + LayerNormEpsilon);
                Normalize(x, mean, rstd, Output + at);
                Mean[row] = mean;
                Rstd[row] = rstd;
            }
        }

        private static void AddRows(float* a, float* b, float* sum, int count)
        {
            int i = 0;
            for (; i <= count - TVector.Width; i += TVector.Width)
                TVector.Store(TVector.Load(a + i) + TVector.Load(b + i), sum + i);
            for (; i < count; i++)
                sum[i] = a[i] + b[i];
        }

        private static float SumOf(float* x, int count)
        {
            var lanes = TVector.Create(0f);
            int i = 0;
            for (; i <= count - TVector.Width; i += TVector.Width)
                lanes += TVector.Load(x + i);
            float sum = TVector.Sum(lanes);
            for (; i < count; i++)
                sum += x[i];
            return sum;
        }

        private static float SumOfSquaredDeviations(float* x, float mean, int count)
        {
            var lanes = TVector.Create(0f);
            var center = TVector.Create(mean);
            int i = 0;
            for (; i <= count - TVector.Width; i += TVector.Width)
            {
                var deviation = TVector.Load(x + i) - center;
                lanes = TVector.MultiplyAdd(deviation, deviation, lanes);
            }

            float sum = TVector.Sum(lanes);
            for (; i < count; i++)
                sum += (x[i] - mean) * (x[i] - mean);
            return sum;
        }

        private readonly void Normalize(float* x, float mean, float rstd, float* output)
        {
            var center = TVector.Create(mean);
            var scale = TVector.Create(rstd);
            int i = 0;
            for (; i <= C - TVector.Width; i += TVector.Width)
                TVector.Store(TVector.MultiplyAdd((TVector.Load(x + i) - center) * scale, TVector.Load(Weight + i), TVector.Load(Bias + i)), output + i);
            for (; i < C; i++)
                output[i] = ((x[i] - mean) * rstd * Weight[i]) + Bias[i];
        }
    }

    private struct LayerNormBackwardJob : ITeamJob
    {
        public required float* DInput, DOutput, Input, Weight, Mean, Rstd, Partial;
        public required int Rows, C;

        public readonly void Run(int item, int worker)
        {
            float* dWeight = Partial + ((long)item * 2 * C);
            float* dBias = dWeight + C;
            new Span<float>(dWeight, 2 * C).Clear();
            int end = Math.Min(Rows, (item + 1) * RowsPerPartialSum);
            for (int row = item * RowsPerPartialSum; row < end; row++)
            {
                long at = (long)row * C;
                Backward(DInput + at, DOutput + at, Input + at, Mean[row], Rstd[row], dWeight, dBias);
            }
        }

        /// <summary>
        /// With n = (x - mean) · rstd and d = dOutput ∘ weight: dInput += rstd · (d - mean(d) - n · mean(d ∘ n)).
        /// </summary>
        private readonly void Backward(float* dInput, float* dOutput, float* x, float mean, float rstd, float* dWeight, float* dBias)
        {
            var center = TVector.Create(mean);
            var scale = TVector.Create(rstd);
            var sumLanes = TVector.Create(0f);
            var productLanes = TVector.Create(0f);
            int i = 0;
            for (; i <= C - TVector.Width; i += TVector.Width)
            {
                var gradient = TVector.Load(dOutput + i);
                var normalized = (TVector.Load(x + i) - center) * scale;
                var d = gradient * TVector.Load(Weight + i);
                sumLanes += d;
                productLanes = TVector.MultiplyAdd(d, normalized, productLanes);
                TVector.Store(TVector.MultiplyAdd(gradient, normalized, TVector.Load(dWeight + i)), dWeight + i);
                TVector.Store(gradient + TVector.Load(dBias + i), dBias + i);
            }

            float sum = TVector.Sum(sumLanes), product = TVector.Sum(productLanes);
            for (; i < C; i++)
            {
                float normalized = (x[i] - mean) * rstd;
                float d = dOutput[i] * Weight[i];
                sum += d;
                product += d * normalized;
                dWeight[i] += dOutput[i] * normalized;
                dBias[i] += dOutput[i];
            }

            float meanD = sum / C, meanProduct = product / C;
            var meanDLanes = TVector.Create(meanD);
            var meanProductLanes = TVector.Create(meanProduct);
            for (i = 0; i <= C - TVector.Width; i += TVector.Width)
            {
                var normalized = (TVector.Load(x + i) - center) * scale;
                var d = (TVector.Load(dOutput + i) * TVector.Load(Weight + i)) - meanDLanes - (normalized * meanProductLanes);
                TVector.Store(TVector.MultiplyAdd(d, scale, TVector.Load(dInput + i)), dInput + i);
            }

            for (; i < C; i++)
                dInput[i] += rstd * ((dOutput[i] * Weight[i]) - meanD - ((x[i] - mean) * rstd * meanProduct));
        }
    }
}
