using Trainer.Compute;

namespace Trainer.Cpu;

internal sealed unsafe partial class CpuOperations<TVector>
{
    public override void Convert(void* to, void* from, long count, bool widens, bool narrows, int bytes)
    {
        var job = new ConvertJob { To = to, From = from, Count = count, Widens = widens, Narrows = narrows, Bytes = bytes };
        Team.Run(job, checked((int)((count + ElementsPerItem - 1) / ElementsPerItem)));
    }

    private struct ConvertJob : ITeamJob
    {
        public required void* To, From;
        public required long Count;
        public required bool Widens, Narrows;
        public required int Bytes;

        public readonly void Run(int item, int worker)
        {
            long start = (long)item * ElementsPerItem, end = Math.Min(Count, start + ElementsPerItem);
            if (Narrows)
            {
                for (long i = start; i < end; i++)
                    ((ushort*)To)[i] = BFloat16.Round(((float*)From)[i]);
            }
            else if (Widens)
            {
                for (long i = start; i < end; i++)
                    ((float*)To)[i] = BFloat16.Value(((ushort*)From)[i]);
            }
            else
            {
                Buffer.MemoryCopy((byte*)From + (start * Bytes), (byte*)To + (start * Bytes), (end - start) * Bytes, (end - start) * Bytes);
            }
        }
    }
}
