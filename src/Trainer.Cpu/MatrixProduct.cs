namespace Trainer.Cpu;

/// <summary>A matrix in memory, element (row, column) at <c>Data + row · RowStride + column · ColumnStride</c>; one stride is 1.</summary>
internal readonly unsafe struct MatrixOperand(float* data, nint rowStride, nint columnStride)
{
    public readonly float* Data = data;
    public readonly nint RowStride = rowStride;
    public readonly nint ColumnStride = columnStride;

    /// <summary>A row-major matrix.</summary>
    public static MatrixOperand RowMajor(float* data, nint columns) => new(data, columns, 1);

    /// <summary>The transpose.</summary>
    public MatrixOperand Transposed => new(Data, ColumnStride, RowStride);

    /// <summary>The part from (row, column) on.</summary>
    public MatrixOperand From(nint row, nint column) => new(Data + (row * RowStride) + (column * ColumnStride), RowStride, ColumnStride);
}

/// <summary>
/// fp32 matrix products, <c>C(M,N) = (C +) A(M,K) · B(K,N)</c>, blocked for the caches as Goto and van de Geijn (2008) describe: panels of B
/// are packed, so that the micro-kernel reads them in order; A is read in place where its rows are contiguous.
/// </summary>
/// <remarks>
/// Each element of C is the sum over k in ascending order, in blocks of <see cref="DepthBlock"/>, wherever its tile begins:
/// so the result does not depend on how rows and columns are divided among threads.
/// </remarks>
internal sealed unsafe class MatrixProduct : IDisposable
{
    /// <summary>kc: a panel of B (kc x 48 floats, 72 KB) and the rows of A it meets stay in the second-level cache.</summary>
    private const int DepthBlock = 384;

    /// <summary>mc: a block of A (mc x kc floats, 288 KB) stays in the second-level cache while all panels of B pass.</summary>
    private const int RowBlock = 192;

    /// <summary>nc: the packed block of B (kc x nc floats, 4.5 MB) stays in the third-level cache. A multiple of every tile's columns.</summary>
    private const int ColumnBlock = 3072;

    private readonly MicroKernel _kernel;
    private readonly ThreadTeam _team;
    private readonly MantissaRounding _mantissa;
    private readonly Scratch[] _scratch;

    /// <summary>Prepares for all threads.</summary>
    /// <param name="kernel">The innermost loops.</param>
    /// <param name="team">The threads.</param>
    /// <param name="mantissa">What both factors are rounded to; results are an <see cref="Epilogue"/>'s.</param>
    public MatrixProduct(MicroKernel kernel, ThreadTeam team, MantissaRounding mantissa)
    {
        _kernel = kernel;
        _team = team;
        _mantissa = mantissa;
        _scratch = new Scratch[team.Threads];
        for (int i = 0; i < _scratch.Length; i++)
            _scratch[i] = new Scratch(kernel);
    }

    /// <summary>Multiplies on all threads.</summary>
    /// <param name="m">Rows of C, at least 1.</param>
    /// <param name="n">Columns of C, at least 1.</param>
    /// <param name="k">Columns of A and rows of B, at least 1.</param>
    /// <param name="a">A.</param>
    /// <param name="b">B.</param>
    /// <param name="c">C, row-major.</param>
    /// <param name="ldc">Floats from row to row of C.</param>
    /// <param name="accumulate">Whether to add to C.</param>
    /// <param name="epilogue">What is done with each tile of C while it is in the cache.</param>
    public void Run(int m, int n, int k, MatrixOperand a, MatrixOperand b, float* c, nint ldc, bool accumulate, Epilogue epilogue = default)
    {
        // Columns are divided first: each thread then packs only its own part of B. A packed A costs the other way round, so then the
        // longer side is divided. What is left of the threads divides the other side.
        int rowTiles = CeilingDivide(m, _kernel.Rows), columnTiles = CeilingDivide(n, _kernel.Columns);
        bool columnsFirst = a.ColumnStride == 1 ? columnTiles >= _team.Threads : n >= m;
        int first = Math.Min(_team.Threads, columnsFirst ? columnTiles : rowTiles);
        int second = Math.Clamp(_team.Threads / first, 1, columnsFirst ? rowTiles : columnTiles);
        var job = new ProductJob
        {
            Owner = this, M = m, N = n, K = k, A = a, B = b, C = c, Ldc = ldc, Accumulate = accumulate, Epilogue = epilogue,
            RowTiles = rowTiles, ColumnTiles = columnTiles,
            RowParts = columnsFirst ? second : first, ColumnParts = columnsFirst ? first : second,
        };
        _team.Run(job, first * second);
    }

    public void Dispose()
    {
        foreach (var scratch in _scratch)
            scratch.Dispose();
    }

    private static int CeilingDivide(int a, int b) => (a + b - 1) / b;

    private struct ProductJob : ITeamJob
    {
        public required MatrixProduct Owner;
        public required int M, N, K, RowTiles, ColumnTiles, RowParts, ColumnParts;
        public required MatrixOperand A, B;
        public required float* C;
        public required nint Ldc;
        public required bool Accumulate;
        public required Epilogue Epilogue;

        public readonly void Run(int item, int worker)
        {
            int rowPart = item / ColumnParts, columnPart = item % ColumnParts;
            int rowsPerTile = Owner._kernel.Rows, columnsPerTile = Owner._kernel.Columns;
            int firstRow = (int)((long)RowTiles * rowPart / RowParts) * rowsPerTile;
            int endRow = Math.Min(M, (int)((long)RowTiles * (rowPart + 1) / RowParts) * rowsPerTile);
            int firstColumn = (int)((long)ColumnTiles * columnPart / ColumnParts) * columnsPerTile;
            int endColumn = Math.Min(N, (int)((long)ColumnTiles * (columnPart + 1) / ColumnParts) * columnsPerTile);
            Owner.Multiply(Owner._scratch[worker], firstRow, endRow, firstColumn, endColumn, this);
        }
    }

    private void Multiply(Scratch scratch, int firstRow, int endRow, int firstColumn, int endColumn, in ProductJob job)
    {
        for (int column = firstColumn; column < endColumn; column += ColumnBlock)
        {
            int columns = Math.Min(ColumnBlock, endColumn - column);
            for (int depth = 0; depth < job.K; depth += DepthBlock)
            {
                int depths = Math.Min(DepthBlock, job.K - depth);
                Packing.PackB(_kernel, job.B.From(depth, column), depths, columns, scratch.B);
                _mantissa.Apply(scratch.B, (long)_kernel.PackedColumns(columns) * depths);
                for (int row = firstRow; row < endRow; row += RowBlock)
                {
                    int rows = Math.Min(RowBlock, endRow - row);
                    MultiplyBlock(scratch, row, rows, column, columns, depth, depths, job);
                }
            }
        }
    }

    private void MultiplyBlock(Scratch scratch, int row, int rows, int column, int columns, int depth, int depths, in ProductJob job)
    {
        var a = job.A.From(row, depth);
        nint tileRowStride = (nint)_kernel.Rows * a.RowStride, rowStride = a.RowStride, depthStride = a.ColumnStride;
        float* aData = a.Data;
        if (a.ColumnStride != 1 || !_mantissa.IsExact)
        {
            Packing.PackA(_kernel, a, rows, depths, scratch.A);
            _mantissa.Apply(scratch.A, (long)CeilingDivide(rows, _kernel.Rows) * _kernel.Rows * depths);
            aData = scratch.A;
            (rowStride, depthStride, tileRowStride) = (1, _kernel.Rows, (nint)_kernel.Rows * depths);
        }

        bool accumulate = job.Accumulate || depth > 0;
        bool last = depth + depths == job.K;
        float* panel = scratch.B;
        int panelColumns;
        for (int j = 0; j < columns; j += panelColumns, panel += (nint)panelColumns * depths)
        {
            panelColumns = _kernel.PanelColumns(columns - j);
            int realColumns = Math.Min(panelColumns, columns - j);
            float* c = job.C + (row * job.Ldc) + column + j;
            _kernel.MultiplyPanel(
                rows, realColumns, panelColumns, depths, aData, tileRowStride, rowStride, depthStride, panel, c, job.Ldc, accumulate, scratch.Tile);
            if (last && !job.Epilogue.IsNone)
                job.Epilogue.Apply(job.C, job.Ldc, row, rows, column + j, realColumns);
        }
    }

    /// <summary>One thread's packed blocks.</summary>
    private sealed class Scratch(MicroKernel kernel) : IDisposable
    {
        public readonly float* A = Allocate((RowBlock + kernel.Rows) * DepthBlock);
        public readonly float* B = Allocate(ColumnBlock * DepthBlock);
        public readonly float* Tile = Allocate(kernel.Rows * kernel.Columns);

        public void Dispose()
        {
            NativeBlock.Free(A);
            NativeBlock.Free(B);
            NativeBlock.Free(Tile);
        }

        private static float* Allocate(int count) => (float*)NativeBlock.Allocate((nuint)count * sizeof(float));
    }
}
