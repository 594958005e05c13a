using System.Runtime.CompilerServices;

namespace Trainer.Cpu;

/// <remarks>
/// One item is one head of one sequence. Scores exist for one block of queries at a time, in the thread's own memory. The backward pass
/// computes them again from Q, K and the kept log-sum-exp instead of keeping softmax(Q Kᵀ): at B = 4, T = 1024 GPT-2 124M would keep
/// 4 · 12 layers · 12 heads · 1024² floats, 2.4 GB, more than all its parameters, gradients and moments; computing them again costs one
/// matrix product in seven of attention, about 1 % of a step. With fewer bits of mantissa Q, K, V and dO are results of products and rounded already;
/// P and dS are rounded as factors, and so are the results; scores stay on their way, as they do on the chip in flash attention. Kept are one float per row of scores, and Q, K, V and the output, which
/// the neighbouring layers need anyway.
/// </remarks>
internal sealed unsafe partial class CpuOperations<TVector>
{
    /// <summary>Tiles of queries in a block: wide enough to reuse packed keys, narrow enough to waste little above the diagonal.</summary>
    private const int QueryTiles = 8;

    private readonly Scratch<float> _attention = new();

    public override void AttentionForward(float* output, float* logSumExp, float* qkv, int b, int t, int c, int heads)
    {
        var plan = new AttentionPlan(Kernel, Mantissa, t, c, heads);
        float* scratch = _attention.Ensure(plan.FloatsPerWorker * Team.Threads);
        Team.Run(new AttentionForwardJob { Plan = plan, Scratch = scratch, Output = output, LogSumExp = logSumExp, Qkv = qkv }, b * heads);
    }

    public override void AttentionBackward(
        float* dQkv, float* dOutput, float* output, float* logSumExp, float* qkv, int b, int t, int c, int heads)
    {
        var plan = new AttentionPlan(Kernel, Mantissa, t, c, heads);
        float* scratch = _attention.Ensure(plan.FloatsPerWorker * Team.Threads);
        var job = new AttentionBackwardJob
        {
            Plan = plan, Scratch = scratch, DQkv = dQkv, DOutput = dOutput, Output = output, LogSumExp = logSumExp, Qkv = qkv,
        };
        Team.Run(job, b * heads);
    }

    /// <summary>The sizes of one head's work and the places of its blocks in a thread's scratch memory.</summary>
    private readonly struct AttentionPlan
    {
        public readonly MicroKernel Kernel;
        public readonly MantissaRounding Mantissa;
        public readonly int T, C, Heads, HeadSize, QueryBlock;

        /// <summary>Floats from row to row of a block of scores: T in whole tiles, and one line more, so that rows do not share a cache set.</summary>
        public readonly int ScoreStride;
        private readonly long _packedKeys, _packedHead;

        public AttentionPlan(MicroKernel kernel, MantissaRounding mantissa, int t, int c, int heads)
        {
            (Kernel, Mantissa) = (kernel, mantissa);
            (T, C, Heads, HeadSize) = (t, c, heads, c / heads);
            QueryBlock = kernel.Rows * QueryTiles;
            int paddedT = Blocks(t, kernel.Columns) * kernel.Columns;
            ScoreStride = paddedT + 16;
            _packedKeys = RoundedUp((long)paddedT * HeadSize);
            _packedHead = RoundedUp((long)t * Blocks(HeadSize, kernel.Width) * kernel.Width);
        }

        public float Scale => 1f / MathF.Sqrt(HeadSize);

        public long ScoreFloats => RoundedUp((long)QueryBlock * ScoreStride);

        public long FloatsPerWorker => (2 * ScoreFloats) + (2 * _packedKeys) + (3 * _packedHead) + (Kernel.Rows * Kernel.Columns);

        public static float* Scores(float* scratch) => scratch;

        public float* ScoreGradients(float* scratch) => scratch + ScoreFloats;

        /// <summary>Two matrices (HS, T), packed as the right operand of scores.</summary>
        public float* PackedTransposed(float* scratch, int which) => scratch + (2 * ScoreFloats) + (which * _packedKeys);

        /// <summary>Three matrices (up to T, HS), packed as right operands.</summary>
        public float* Packed(float* scratch, int which) => scratch + (2 * ScoreFloats) + (2 * _packedKeys) + (which * _packedHead);

        public float* Edge(float* scratch) => scratch + (2 * ScoreFloats) + (2 * _packedKeys) + (3 * _packedHead);

        /// <summary><c>scores(queries, keys) = a · packedᵀ</c>; whole tiles are written, beyond the last key and query too.</summary>
        public void MultiplyScores(float* scores, float* a, nint aRowStride, int queries, int keys, float* packed, float* edge)
        {
            int columns;
            for (int j = 0; j < keys; j += columns, packed += (nint)columns * HeadSize)
            {
                columns = Kernel.PanelColumns(T - j);
                Kernel.MultiplyPanel(
                    queries, columns, columns, HeadSize, a, Kernel.Rows * aRowStride, aRowStride, 1, packed, scores + j, ScoreStride, false, edge);
            }
        }

        /// <summary><c>c(rows, HS) = (c +) a(rows, depth) · b(depth, HS)</c> with b packed over <paramref name="packedDepth"/>.</summary>
        public void MultiplyHead(float* c, nint ldc, float* a, nint aRowStride, nint aDepthStride, int rows, int depth, float* packed, int packedDepth,
            bool accumulate, float* edge)
        {
            int panel;
            for (int j = 0; j < HeadSize; j += panel, packed += (nint)panel * packedDepth)
            {
                panel = Kernel.PanelColumns(HeadSize - j);
                Kernel.MultiplyPanel(rows, Math.Min(panel, HeadSize - j), panel, depth, a, Kernel.Rows * aRowStride, aRowStride, aDepthStride,
                    packed, c + j, ldc, accumulate, edge);
            }
        }

        private static long RoundedUp(long floats) => (floats + 15) / 16 * 16;
    }

    private struct AttentionForwardJob : ITeamJob
    {
        public required AttentionPlan Plan;
        public required float* Scratch, Output, LogSumExp, Qkv;

        public readonly void Run(int item, int worker)
        {
            int b = item / Plan.Heads, head = item % Plan.Heads, t = Plan.T, c = Plan.C, stride = 3 * c;
            float* q = Qkv + ((long)b * t * stride) + (head * Plan.HeadSize), k = q + c, v = k + c;
            float* output = Output + ((long)b * t * c) + (head * Plan.HeadSize);
            float* logSumExp = LogSumExp + ((long)item * t);
            float* scratch = Scratch + (worker * Plan.FloatsPerWorker);
            float* scores = AttentionPlan.Scores(scratch), keys = Plan.PackedTransposed(scratch, 0), values = Plan.Packed(scratch, 0), edge = Plan.Edge(scratch);
            Packing.PackB(Plan.Kernel, MatrixOperand.RowMajor(k, stride).Transposed, Plan.HeadSize, t, keys);
            Packing.PackB(Plan.Kernel, MatrixOperand.RowMajor(v, stride), t, Plan.HeadSize, values);
            for (int first = 0; first < t; first += Plan.QueryBlock)
            {
                int queries = Math.Min(Plan.QueryBlock, t - first), end = first + queries;
                Plan.MultiplyScores(scores, q + ((long)first * stride), stride, queries, end, keys, edge);
                for (int i = 0; i < queries; i++)
                    logSumExp[first + i] = Softmax(scores + ((long)i * Plan.ScoreStride), first + i + 1, end, Plan.Scale);
                Plan.Mantissa.Apply(scores, Plan.ScoreStride, queries, end);
                Plan.MultiplyHead(output + ((long)first * c), c, scores, Plan.ScoreStride, 1, queries, end, values, t, accumulate: false, edge);
                Plan.Mantissa.Apply(output + ((long)first * c), c, queries, Plan.HeadSize);
            }
        }

        /// <summary>Softmax of the first <paramref name="count"/> scores, the others to 0; returns the logarithm of the denominator.</summary>
        private static float Softmax(float* scores, int count, int end, float scale)
        {
            float max = Maximum(scores, count);
            var shift = TVector.Create(-max * scale);
            var factor = TVector.Create(scale);
            var lanes = TVector.Create(0f);
            int i = 0;
            for (; i <= count - TVector.Width; i += TVector.Width)
            {
                var e = VectorMath.Exp(TVector.MultiplyAdd(TVector.Load(scores + i), factor, shift));
                lanes += e;
                TVector.Store(e, scores + i);
            }

            float sum = TVector.Sum(lanes);
            for (; i < count; i++)
            {
                var e = VectorMath.Exp(Float1.MultiplyAdd(Float1.Load(scores + i), Float1.Create(scale), Float1.Create(-max * scale)));
                sum += Float1.Sum(e);
                Float1.Store(e, scores + i);
            }

            ScaleRow(scores, count, 1f / sum);
            new Span<float>(scores + count, end - count).Clear();
            return (max * scale) + MathF.Log(sum);
        }
    }

    /// <remarks>
    /// With P = softmax(S), S = scale · Q Kᵀ, and D the row sums of dO ∘ O: dV = Pᵀ dO, dS = P ∘ (dO Vᵀ - D), dQ = scale · dS K,
    /// dK = scale · dSᵀ Q. Blocks of queries are taken from the last to the first: the last one meets every key and so writes all of dK
    /// and dV, to which the others add.
    /// </remarks>
    private struct AttentionBackwardJob : ITeamJob
    {
        public required AttentionPlan Plan;
        public required float* Scratch, DQkv, DOutput, Output, LogSumExp, Qkv;

        public readonly void Run(int item, int worker)
        {
            int b = item / Plan.Heads, head = item % Plan.Heads, t = Plan.T, c = Plan.C, stride = 3 * c;
            long atQuery = ((long)b * t * stride) + (head * Plan.HeadSize), atOutput = ((long)b * t * c) + (head * Plan.HeadSize);
            float* q = Qkv + atQuery, k = q + c, v = k + c, dQ = DQkv + atQuery, dK = dQ + c, dV = dK + c;
            float* scratch = Scratch + (worker * Plan.FloatsPerWorker);
            float* p = AttentionPlan.Scores(scratch), dS = Plan.ScoreGradients(scratch), edge = Plan.Edge(scratch);
            float* keysTransposed = Plan.PackedTransposed(scratch, 0), valuesTransposed = Plan.PackedTransposed(scratch, 1);
            float* keys = Plan.Packed(scratch, 0), queryBlock = Plan.Packed(scratch, 1), gradientBlock = Plan.Packed(scratch, 2);
            Packing.PackB(Plan.Kernel, MatrixOperand.RowMajor(k, stride).Transposed, Plan.HeadSize, t, keysTransposed);
            Packing.PackB(Plan.Kernel, MatrixOperand.RowMajor(v, stride).Transposed, Plan.HeadSize, t, valuesTransposed);
            Packing.PackB(Plan.Kernel, MatrixOperand.RowMajor(k, stride), t, Plan.HeadSize, keys);

            for (int first = (t - 1) / Plan.QueryBlock * Plan.QueryBlock; first >= 0; first -= Plan.QueryBlock)
            {
                int queries = Math.Min(Plan.QueryBlock, t - first), end = first + queries;
                bool accumulate = end < t;
                float* qBlock = q + ((long)first * stride), dOutput = DOutput + atOutput + ((long)first * c);
                Plan.MultiplyScores(p, qBlock, stride, queries, end, keysTransposed, edge);
                Plan.MultiplyScores(dS, dOutput, c, queries, end, valuesTransposed, edge);
                for (int i = 0; i < queries; i++)
                {
                    float d = Dot(dOutput + ((long)i * c), Output + atOutput + ((long)(first + i) * c), Plan.HeadSize);
                    float logSumExp = LogSumExp[((long)item * t) + first + i];
                    long row = (long)i * Plan.ScoreStride;
                    SoftmaxBackward(p + row, dS + row, first + i + 1, end, Plan.Scale, logSumExp, d);
                }

                Plan.Mantissa.Apply(p, Plan.ScoreStride, queries, end);
                Plan.Mantissa.Apply(dS, Plan.ScoreStride, queries, end);
                Packing.PackB(Plan.Kernel, MatrixOperand.RowMajor(qBlock, stride), queries, Plan.HeadSize, queryBlock);
                Packing.PackB(Plan.Kernel, MatrixOperand.RowMajor(dOutput, c), queries, Plan.HeadSize, gradientBlock);
                Plan.MultiplyHead(dQ + ((long)first * stride), stride, dS, Plan.ScoreStride, 1, queries, end, keys, t, accumulate: false, edge);
                Plan.MultiplyHead(dK, stride, dS, 1, Plan.ScoreStride, end, queries, queryBlock, queries, accumulate, edge);
                Plan.MultiplyHead(dV, stride, p, 1, Plan.ScoreStride, end, queries, gradientBlock, queries, accumulate, edge);
            }

            // dQ, dK and dV of this head, side by side with those of the others.
            for (float* gradient = dQ; gradient <= dV; gradient += c)
                Plan.Mantissa.Apply(gradient, stride, t, Plan.HeadSize);
        }

        /// <summary>In place, scores to P and dP to scale · dS, both 0 from <paramref name="count"/> on.</summary>
        private static void SoftmaxBackward(float* p, float* dS, int count, int end, float scale, float logSumExp, float d)
        {
            int i = 0;
            for (; i <= count - TVector.Width; i += TVector.Width)
                SoftmaxBackwardAt<TVector>(p + i, dS + i, scale, logSumExp, d);
            for (; i < count; i++)
                SoftmaxBackwardAt<Float1>(p + i, dS + i, scale, logSumExp, d);
            new Span<float>(p + count, end - count).Clear();
            new Span<float>(dS + count, end - count).Clear();
        }

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        private static void SoftmaxBackwardAt<T>(float* p, float* dS, float scale, float logSumExp, float d)
            where T : struct, IVector<T>
        {
            var probability = VectorMath.Exp(T.MultiplyAdd(T.Load(p), T.Create(scale), T.Create(-logSumExp)));
            T.Store(probability, p);
            T.Store(probability * (T.Load(dS) - T.Create(d)) * T.Create(scale), dS);
        }

        private static float Dot(float* a, float* b, int count)
        {
            var lanes = TVector.Create(0f);
            int i = 0;
            for (; i <= count - TVector.Width; i += TVector.Width)
                lanes = TVector.MultiplyAdd(TVector.Load(a + i), TVector.Load(b + i), lanes);
            float sum = TVector.Sum(lanes);
            for (; i < count; i++)
                sum += a[i] * b[i];
            return sum;
        }
    }
}
