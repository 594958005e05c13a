namespace Trainer.Data;

/// <summary>
/// Works on batches of segments with several threads and hands on the results in the order of the batches, with a bounded number of them
/// in memory. The calling thread reads and consumes; so what it writes does not depend on the number of threads.
/// </summary>
internal static class OrderedPipeline
{
    /// <summary>Runs the work.</summary>
    /// <param name="batches">The input; read on the calling thread. Each is disposed after it was consumed.</param>
    /// <param name="threads">How many batches are worked on at a time; with 1 the calling thread does everything.</param>
    /// <param name="work">Made by any thread, several at a time.</param>
    /// <param name="consume">Called on the calling thread, in order.</param>
    /// <param name="cancellation">Stops between batches.</param>
    public static void Run<TResult>(IEnumerable<SegmentBatch> batches, int threads, Func<SegmentBatch, TResult> work,
        Action<SegmentBatch, TResult> consume, CancellationToken cancellation)
    {
        var running = new Queue<(SegmentBatch Batch, Task<TResult> Work)>();
        try
        {
            foreach (SegmentBatch batch in batches)
            {
                cancellation.ThrowIfCancellationRequested();
                running.Enqueue((batch, threads == 1 ? Task.FromResult(work(batch)) : Task.Run(() => work(batch), CancellationToken.None)));

                // One more than the threads can take, so that none waits while the caller reads or writes.
                if (running.Count > (threads == 1 ? 0 : threads + 1))
                    ConsumeFirst();
            }

            while (running.Count > 0)
                ConsumeFirst();
        }
        finally
        {
            foreach ((SegmentBatch batch, Task<TResult> task) in running)
            {
                ((IAsyncResult)task).AsyncWaitHandle.WaitOne();
                batch.Dispose();
            }
        }

        void ConsumeFirst()
        {
            (SegmentBatch batch, Task<TResult> task) = running.Peek();
            TResult result = task.GetAwaiter().GetResult();
            consume(batch, result);
            running.Dequeue();
            batch.Dispose();
        }
    }
}
