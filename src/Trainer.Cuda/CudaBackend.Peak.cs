using Trainer.Compute;

namespace Trainer.Cuda;

/// <content>The matrix rate of the device.</content>
public sealed partial class CudaBackend
{
    private const int SmallestSquare = 256, LargestSquare = 8192, PeakRepetitions = 5;

    // Long enough that a launch does not count.
    private const float EnoughMilliseconds = 1;

    /// <inheritdoc/>
    /// <remarks>A GPU's register peak is not measurable by itself: this is the rate of the largest square product that pays, the best of five.</remarks>
    public override double MeasurePeakFlops()
    {
        double best = 0;
        float milliseconds = 0;
        for (int size = SmallestSquare; size <= LargestSquare && milliseconds < EnoughMilliseconds; size *= 2)
        {
            milliseconds = SquareMilliseconds(size);
            best = Math.Max(best, 2.0 * size * size * size / (milliseconds / 1e3));
        }

        return best;
    }

    private float SquareMilliseconds(int size)
    {
        var matrices = new List<Tensor>();
        nint start = Driver.CreateEvent(timing: true), end = Driver.CreateEvent(timing: true);
        try
        {
            for (int i = 0; i < 3; i++)
                matrices.Add(Allocate(Precision.Working, new Shape(size, size)));
            float fastest = float.PositiveInfinity;
            for (int i = 0; i < PeakRepetitions; i++)
            {
                Driver.RecordEvent(start, _context.Stream);
                LinearForward(matrices[0], matrices[1], matrices[2], default, default);
                Driver.RecordEvent(end, _context.Stream);
                Driver.SynchronizeEvent(end);
                fastest = Math.Min(fastest, Driver.ElapsedMilliseconds(start, end));
            }

            return fastest;
        }
        finally
        {
            Driver.DestroyEvent(start);
            Driver.DestroyEvent(end);
            matrices.ForEach(Free);
        }
    }
}
