namespace Trainer.Cpu;

internal sealed unsafe partial class CpuOperations<TVector>
{
    /// <summary>Channels that one item of the token gradient covers: it adds up all rows in order, so that nothing is added by chance.</summary>
    private const int EmbeddingChannels = 64;

    public override void EmbeddingForward(float* output, int* tokens, float* tokenTable, float* positionTable, int b, int t, int c)
    {
        int rows = b * t;
        var job = new EmbeddingForwardJob { Output = output, Tokens = tokens, TokenTable = tokenTable, PositionTable = positionTable, Rows = rows, T = t, C = c };
        Team.Run(job, Blocks(rows, RowsPerItem));
    }

    public override void EmbeddingBackward(float* dTokenTable, float* dPositionTable, float* dOutput, int* tokens, int b, int t, int c)
    {
        var job = new EmbeddingBackwardJob { DTokenTable = dTokenTable, DPositionTable = dPositionTable, DOutput = dOutput, Tokens = tokens, B = b, T = t, C = c };
        Team.Run(job, Blocks(c, EmbeddingChannels));
    }

    private struct EmbeddingForwardJob : ITeamJob
    {
        public required float* Output, TokenTable, PositionTable;
        public required int* Tokens;
        public required int Rows, T, C;

        public readonly void Run(int item, int worker)
        {
            int end = Math.Min(Rows, (item + 1) * RowsPerItem);
            for (int row = item * RowsPerItem; row < end; row++)
            {
                float* token = TokenTable + ((long)Tokens[row] * C);
                float* position = PositionTable + ((long)(row % T) * C);
                float* output = Output + ((long)row * C);
                int i = 0;
                for (; i <= C - TVector.Width; i += TVector.Width)
                    TVector.Store(TVector.Load(token + i) + TVector.Load(position + i), output + i);
                for (; i < C; i++)
                    output[i] = token[i] + position[i];
            }
        }
    }

    private struct EmbeddingBackwardJob : ITeamJob
    {
        public required float* DTokenTable, DPositionTable, DOutput;
        public required int* Tokens;
        public required int B, T, C;

        public readonly void Run(int item, int worker)
        {
            int first = item * EmbeddingChannels, count = Math.Min(EmbeddingChannels, C - first);
            for (int row = 0; row < B * T; row++)
            {
                float* gradient = DOutput + ((long)row * C) + first;
                Add(DTokenTable + ((long)Tokens[row] * C) + first, gradient, count);
                Add(DPositionTable + ((long)(row % T) * C) + first, gradient, count);
            }
        }
    }

    /// <summary><c>target += values</c>.</summary>
    private static void Add(float* target, float* values, int count)
    {
        int i = 0;
        for (; i <= count - TVector.Width; i += TVector.Width)
            TVector.Store(TVector.Load(target + i) + TVector.Load(values + i), target + i);
        for (; i < count; i++)
            target[i] += values[i];
    }
}
