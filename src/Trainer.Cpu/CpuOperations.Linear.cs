namespace Trainer.Cpu;

internal sealed unsafe partial class CpuOperations<TVector>
{
    public override void LinearForward(float* output, float* input, float* weight, float* bias, float* preActivation, int rows, int n, int k)
    {
        var operands = new EpilogueOperands(bias, preActivation, Mantissa);
        var epilogue = Mantissa.IsExact ? ForwardEpilogue<ExactResult>(operands) : ForwardEpilogue<RoundedResult>(operands);
        Product.Run(rows, n, k, MatrixOperand.RowMajor(input, k), MatrixOperand.RowMajor(weight, k).Transposed, output, n, accumulate: false, epilogue);
    }

    public override void GeluForward(float* output, float* preActivation, long count)
    {
        int items = checked((int)((count + ElementsPerItem - 1) / ElementsPerItem));
        Team.Run(new GeluJob { Output = output, PreActivation = preActivation, Count = count }, items);
    }

    public override void LinearBackwardInput(float* dInput, float* dOutput, float* weight, float* preActivation, int rows, int n, int k)
    {
        var operands = new EpilogueOperands(null, preActivation, Mantissa);
        var epilogue = Mantissa.IsExact ? BackwardEpilogue<ExactResult>(operands) : BackwardEpilogue<RoundedResult>(operands);
        Product.Run(rows, k, n, MatrixOperand.RowMajor(dOutput, n), MatrixOperand.RowMajor(weight, k), dInput, k, accumulate: false, epilogue);
    }

    public override void LinearBackwardWeight(
        float* dWeight, float* dBias, float* dOutput, float* input, int rows, int n, int k, bool accumulate)
    {
        Product.Run(n, k, rows, MatrixOperand.RowMajor(dOutput, n).Transposed, MatrixOperand.RowMajor(input, k), dWeight, k, accumulate);
        if (dBias == null)
            return;
        int blocks = Blocks(rows, RowsPerPartialSum);
        float* partial = _partialSums.Ensure((long)blocks * n);
        Team.Run(new ColumnSumJob { Values = dOutput, Partial = partial, Rows = rows, Columns = n }, blocks);
        if (!accumulate)
            new Span<float>(dBias, n).Clear();
        AddPartialSums(dBias, partial, blocks, n, n);
    }

    private static Epilogue ForwardEpilogue<TResult>(EpilogueOperands operands)
        where TResult : struct, IResult =>
        operands.PreActivation != null ? new Epilogue(&LinearEpilogues.BiasGelu<TVector, TResult>, operands)
            : operands.Bias != null ? new Epilogue(&LinearEpilogues.Bias<TVector, TResult>, operands)
            : PlainEpilogue<TResult>(operands);

    private static Epilogue BackwardEpilogue<TResult>(EpilogueOperands operands)
        where TResult : struct, IResult =>
        operands.PreActivation != null ? new Epilogue(&LinearEpilogues.GeluDerivative<TVector, TResult>, operands) : PlainEpilogue<TResult>(operands);

    private static Epilogue PlainEpilogue<TResult>(EpilogueOperands operands)
        where TResult : struct, IResult => TResult.IsExact ? default : new Epilogue(&LinearEpilogues.Round, operands);

    private struct GeluJob : ITeamJob
    {
        public required float* Output, PreActivation;
        public required long Count;

        public readonly void Run(int item, int worker)
        {
            long i = (long)item * ElementsPerItem, end = Math.Min(Count, i + ElementsPerItem);
            for (; i <= end - TVector.Width; i += TVector.Width)
                TVector.Store(VectorMath.Gelu(TVector.Load(PreActivation + i)), Output + i);
            for (; i < end; i++)
                Float1.Store(VectorMath.Gelu(Float1.Load(PreActivation + i)), Output + i);
        }
    }

    private struct ColumnSumJob : ITeamJob
    {
        public required float* Values, Partial;
        public required int Rows, Columns;

        public readonly void Run(int item, int worker)
        {
            float* sums = Partial + ((long)item * Columns);
            new Span<float>(sums, Columns).Clear();
            int end = Math.Min(Rows, (item + 1) * RowsPerPartialSum);
            for (int row = item * RowsPerPartialSum; row < end; row++)
                Add(sums, Values + ((long)row * Columns), Columns);
        }
    }
}
