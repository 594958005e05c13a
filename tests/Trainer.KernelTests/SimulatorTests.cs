using Trainer.Cuda.Kernels;

namespace Trainer.KernelTests;

/// <summary>The simulator itself, on the small kernels of native/simt/selftest: right ones give the right numbers, and each mistake is named.</summary>
internal sealed class SimulatorTests
{
    private const int GranuleFloats = 64 * 64;

    [OneTimeSetUp]
    public void RequireSimulator()
    {
        if (KernelTarget.Current is not SimulatorTarget)
            Assert.Ignore("these are tests of the simulator");
    }

    [Test]
    public void Lanes_exchange_values()
    {
        int[] values = [.. Enumerable.Range(0, 64).Select(i => (i * 7) % 41)];
        KernelRun.InAllOrders(run =>
        {
            var output = run.Output("out", BufferType.Int, 64 * 8);
            run.Launch(Launch("selftest_shuffles", 1, 64), output, run.Int("in", values));
            var expected = new double[64 * 8];
            for (int t = 0; t < 64; t++)
            {
                int warp = t / 32 * 32, lane = t % 32;
                int At(int other) => values[warp + other];
                int Votes(Func<int, bool> vote) => Enumerable.Range(0, 32).Where(l => vote(At(l))).Aggregate(0, (bits, l) => bits | (1 << l));
                int[] row =
                [
                    At(lane ^ 5), At(lane + 3 > 31 ? lane : lane + 3), At(lane % 8 < 3 ? lane : lane - 3), At(17), Votes(v => v % 3 == 0),
                    Votes(v => v % 5 == values[t] % 5), At(lane < 16 ? lane ^ 1 : lane ^ 2), (Votes(v => v == 7) != 0 ? 1 : 0) + 2,
                ];
                row.Select(v => (double)v).ToArray().CopyTo(expected, t * 8);
            }

            run.Expect(output, expected, new double[expected.Length]);
        });
    }

    [Test]
    public void Blocks_add_atomically()
    {
        int[] values = [.. Enumerable.Range(1, 512)];
        KernelRun.InAllOrders(run =>
        {
            var sum = run.Int("out", [0]);
            run.Launch(Launch("selftest_sum", 4, 128), sum, run.Int("in", values));
            run.Expect(sum, [values.Sum()], [0]);
        });
    }

    [TestCase("selftest_divergent_barrier", 64, "divergent barrier")]
    [TestCase("selftest_lane_outside_mask", 32, "does not contain the lane")]
    [TestCase("selftest_ended_lane", 32, "names lanes that have ended|ends while other lanes wait for it")]
    [TestCase("selftest_different_instructions", 32, "lanes of one warp disagree")]
    public void Lanes_that_part_are_reported(string kernel, int threads, string message) =>
        KernelRun.InAllOrders(run =>
        {
            string? error = run.Error(Launch(kernel, 1, threads));
            Expect(error, message);
            Expect(error, "block (0, 0, 0), thread (");
        });

    [TestCase(0, "reads what was written by|never written|overwrites what is read by")]
    [TestCase(1, "overwrites what is read by|reads what was written by")]
    [TestCase(2, null)]
    public void A_missing_barrier_is_a_race_in_every_order(int kind, string? message) =>
        ExpectOfAccesses(message, run => run.Error(Launch("selftest_race", 1, 64), run.Output("out", BufferType.Int, 64), kind));

    [TestCase(0, "overwrites what is read by|reads what was written by")]
    [TestCase(1, null)]
    [TestCase(2, "never written")]
    public void An_atomic_addition_is_a_write_too(int kind, string? message) =>
        ExpectOfAccesses(message, run => run.Error(Launch("selftest_atomic_race", 1, 64), run.Output("out", BufferType.Int, 1), kind));

    [TestCase(0, 1, 0, "threads, not 1 to 1024")]
    [TestCase(64, 65, 0, "threads, not 1 to 1024")]
    [TestCase(1, 65, 0, "z exceeds 64")]
    [TestCase(32, 1, (227 << 10) + 16, "more than the 232448 of a block")]
    public void Launches_beyond_the_limits_are_refused(int x, int z, int shared, string message) => KernelRun.Once(run =>
        Expect(run.Error(new("selftest_lane_outside_mask", new(1), new(x, 1, z), shared, 0, 0)), message));

    [TestCase(0, "reads what was written by|never written|overwrites what is read by")]
    [TestCase(1, null)]
    public void A_missing_warp_barrier_is_a_race_in_every_order(int sync, string? message) =>
        ExpectOfAccesses(message, run => run.Error(Launch("selftest_warp_race", 1, 32), run.Output("out", BufferType.Int, 32), sync));

    [TestCase(0, "reads what was written by|never written|overwrites what is read by")]
    [TestCase(1, null)]
    public void A_named_barrier_orders_those_that_take_part(int wait, string? message) =>
        ExpectOfAccesses(message, run => run.Error(Launch("selftest_barrier_race", 1, 64), run.Output("out", BufferType.Int, 32), wait));

    [Test]
    public void Blocks_that_write_the_same_word_race() =>
        ExpectOfAccesses("another block of the same launch", run => run.Error(Launch("selftest_block_race", 2, 1), run.Output("out", BufferType.Int, 1)));

    [Test]
    public void Shared_memory_that_was_never_written_is_not_read() =>
        ExpectOfAccesses("never written", run => run.Error(Launch("selftest_uninitialised", 1, 63), run.Output("out", BufferType.Int, 63)));

    [TestCase(16, 0, "writes 4 bytes at offset 64 of buffer 'out', which has 64 bytes")]
    [TestCase(1024, 0, "writes 4 bytes at offset 4096 of buffer 'out'")]   // in its guard page
    [TestCase(-1, 0, "writes 4 bytes at offset -4 of buffer 'out'")]
    [TestCase(0, 8, "reads 4 bytes at offset 32 of buffer 'in', which has 32 bytes")]
    [TestCase(15, 7, null)]
    public void Accesses_outside_a_buffer_are_reported(int store, int load, string? message) =>
        KernelRun.InAllOrders(run =>
            Expect(run.Error(Launch("selftest_out_of_bounds", 1, 32), run.Output("out", BufferType.Int, 16), run.Int("in", new int[8]), store, load), message));

    [TestCase(0, null)]
    [TestCase(1, "of which the block has 128")]
    public void Accesses_outside_shared_memory_are_reported(int index, string? message) =>
        KernelRun.InAllOrders(run => Expect(run.Error(Launch("selftest_shared_out_of_bounds", 1, 32, shared: 128), index), message));

    [Test]
    public void The_null_pointer_is_reported() =>
        KernelRun.InAllOrders(run => Expect(run.Error(Launch("selftest_null", 1, 32), (DeviceBuffer?)null), "null pointer"));

    [TestCase("selftest_static_array", 31, null)]
    [TestCase("selftest_static_array", 32, "of static shared memory, outside its arrays (AddressSanitizer: global-buffer-overflow in selftest_static_array .*selftest.cu:")]
    [TestCase("selftest_own_array", 3, null)]
    [TestCase("selftest_own_array", 4, "AddressSanitizer: stack-buffer-overflow in selftest_own_array .*selftest.cu:")]
    public void AddressSanitizer_checks_the_arrays_of_a_kernel(string kernel, int index, string? message) => KernelRun.InAllOrders(run =>
    {
        if (message != null && Simulator.SeesAccesses)
            Assert.Ignore("the simulator knows which memory there is, not which arrays; ./build.sh --target=TestAsan does");
        Expect(run.Error(Launch(kernel, 1, 32), run.Output("out", BufferType.Int, 32), index), message);
    });

    [TestCase(1, 1, 4, 0)]     // contiguous: 128 bytes are four sectors; a row is free of conflicts
    [TestCase(8, 33, 32, 0)]   // every lane in a sector of its own; odd pitch
    [TestCase(2, 32, 8, 62)]   // every second word; a column of a tile without padding: 31 conflicts to write, 31 to read
    [TestCase(1, 4, 4, 6)]
    public void Traffic_is_counted(int stride, int pitch, int sectors, int conflicts) =>
        KernelRun.Once(run =>
        {
            var (output, input) = (run.Output("out", BufferType.Float, 32), run.Float("in", new float[256]));
            var traffic = run.Trace(Launch("selftest_traffic", 1, 32, shared: 32 * 33 * 4), output, input, stride, pitch);
            Assert.That((traffic.LoadRequests, traffic.LoadSectors, traffic.StoreRequests, traffic.StoreSectors), Is.EqualTo((1ul, (ulong)sectors, 1ul, 4ul)));
            Assert.That((traffic.LoadedBytes, traffic.StoredBytes), Is.EqualTo((128ul, 128ul)));
            Assert.That(traffic.SharedConflicts, Is.EqualTo((ulong)conflicts));
        });

    [TestCase(1, null)]
    [TestCase(0, "has not arrived")]
    public void Tensor_cores_multiply_what_cp_async_brought(int wait, string? message)
    {
        float[] a = TestValues.Normal(16 * 16, 1).Rounded(), b = TestValues.Normal(16 * 8, 2).Rounded();
        KernelRun.InAllOrders(run =>
        {
            var output = run.Output("o", BufferType.Float, 16 * 8);
            string? error = run.Error(Launch("selftest_mma", 1, 32, shared: 1024), run.Bf16("a", a), run.Bf16("b", b), output, wait);
            Expect(error, message);
            if (message == null)
                run.Expect(output, Product(a, b, 16, 8, 16, transposed: false), Tolerance(16 * 8));
        });
    }

    /// <summary>Numbers with 24 significant bits, whose products are those of the nearest with 11.</summary>
    [TestCase(0, null)]
    [TestCase(1, "is no tf32 number")]
    public void Tensor_cores_multiply_tf32(int mistake, string? message)
    {
        float[] a = TestValues.Normal(16 * 8, 1), b = TestValues.Normal(8 * 8, 2);
        KernelRun.InAllOrders(run =>
        {
            var output = run.Output("o", BufferType.Float, 16 * 8);
            Expect(run.Error(Launch("selftest_mma_tf32", 1, 32, shared: 512), run.Float("a", a), run.Float("b", b), output, mistake), message);
            if (message == null)
                run.Expect(output, Product(Array.ConvertAll(a, Tf32.Round), Array.ConvertAll(b, Tf32.Round), 16, 8, 8, transposed: false), Tolerance(16 * 8));
        });
    }

    [TestCase(0, null)]
    [TestCase(1, "has not arrived|never written")]
    [TestCase(2, "without a fence.proxy.async")]
    [TestCase(3, "still read its shared memory")]
    [TestCase(4, "initialised without a fence.proxy.async")]
    public void Tile_copies_swizzle_and_clip(int mistake, string? message)
    {
        const int rows = 70, columns = 104, x = 64, y = 32;
        if (mistake is 1 or 2)
            KernelRun.RequireSeenAccesses();
        float[] values = TestValues.Normal(rows * columns, 3).Rounded();
        KernelRun.InAllOrders(run =>
        {
            var (from, to) = (run.Bf16("from", values), run.Bf16("to", new float[rows * columns], changing: true));
            string? error = run.Error(Launch("selftest_tma", 1, 96, shared: (64 * 128) + 8), Map(from), Map(to), x, y, mistake);
            Expect(error, message);
            if (message != null)
                return;
            var expected = new double[rows * columns];
            for (int i = y; i < rows; i++)
            {
                for (int j = x; j < columns; j++)
                    expected[(i * columns) + j] = 2 * values[(i * columns) + j];
            }

            run.Expect(to, expected, new double[expected.Length]);
        });

        static TensorMap Map(DeviceBuffer buffer) => new(buffer, columns, rows, 64, 64);
    }

    [TestCase(1, 0, null)]
    [TestCase(3, 0, null)]
    [TestCase(1, 1, "2 coordinates for a tensor of 3 dimensions")]
    [TestCase(1, 2, "the 60 bytes must be multiples of 16")]
    public void Tile_copies_end_with_their_plane(int z, int mistake, string? message)
    {
        const int planes = 3, rows = 40, columns = 72, x = 64, y = 8;
        float[] values = TestValues.Normal(planes * rows * columns, 8).Rounded(), line = TestValues.Normal(16, 9);
        KernelRun.InAllOrders(run =>
        {
            var (to, copied) = (run.Bf16("to", new float[planes * rows * columns], changing: true), run.Output("line", BufferType.Float, 16));
            string? error = run.Error(Launch("selftest_planes", 1, 64, shared: (64 * 128) + 64 + 8), Map(run.Bf16("from", values)), Map(to),
                run.Float("values", line), copied,
                x, y, z, mistake);
            Expect(error, message);
            if (message != null)
                return;
            var expected = new double[planes * rows * columns];
            for (int i = y; i < rows && z < planes; i++)
            {
                for (int j = x; j < columns; j++)
                    expected[(((z * rows) + i) * columns) + j] = values[(((z * rows) + i) * columns) + j];
            }

            run.Expect(to, expected, new double[expected.Length]);
            run.Expect(copied, line.Doubles(), new double[16]);
        });

        static TensorMap Map(DeviceBuffer buffer) => new(buffer, columns, rows, 64, 64, planes);
    }

    [Test]
    public void Warpgroups_multiply_with_a_in_registers()
    {
        float[] p = TestValues.Normal(GranuleFloats, 4).Rounded(), v = TestValues.Normal(GranuleFloats, 5).Rounded();
        KernelRun.InAllOrders(run =>
        {
            var output = run.Output("o", BufferType.Float, GranuleFloats);
            run.Launch(Launch("selftest_wgmma_registers", 1, 128, shared: (64 * 128) + 8), new TensorMap(run.Bf16("v", v), 64, 64, 64, 64),
                run.Bf16("p", p), output);
            run.Expect(output, Product(p, v, 64, 64, 64, transposed: false), Tolerance(GranuleFloats));
        });
    }

    [TestCase(0, null)]
    [TestCase(1, "without a fence.proxy.async")]
    [TestCase(2, "never written|nothing orders the two|an asynchronous operation still reads|without a fence")]
    [TestCase(3, "without a wgmma.fence")]
    [TestCase(4, "*")]
    public void Warpgroups_multiply_what_was_stored(int mistake, string? message)
    {
        if (mistake is 1 or 2)
            KernelRun.RequireSeenAccesses();
        float[] a = TestValues.Normal(GranuleFloats, 6).Rounded(), b = TestValues.Normal(GranuleFloats, 7).Rounded();
        KernelRun.InAllOrders(run =>
        {
            var output = run.Output("o", BufferType.Float, GranuleFloats);
            string? error = run.Error(Launch("selftest_wgmma_stored", 1, 128, shared: 2 * 64 * 128), run.Bf16("a", a), run.Bf16("b", b), output, mistake);
            if (message == "*")
                Assert.That(output.Values(), Has.Some.NaN, "accumulators in flight hold a NaN");
            else
                Expect(error, message);
            if (message == null)
                run.Expect(output, Product(a, b, 64, 64, 64, transposed: true), Tolerance(GranuleFloats));
        });
    }

    [Test]
    public void A_launch_that_does_not_fit_the_kernel_is_refused() => KernelRun.Once(run =>
    {
        Expect(run.Error(Launch("no_such_kernel", 1, 1)), "there is no kernel no_such_kernel");
        Expect(run.Error(Launch("selftest_block_race", 1, 1)), "0 arguments, but the kernel has 1");
        Expect(run.Error(Launch("selftest_block_race", 1, 1), 5), "argument 0 has 4 bytes, but the kernel's has 8");
        Expect(run.Error(Launch("selftest_block_race", 1, 1025), run.Output("out", BufferType.Int, 1)), "1025 threads");
    });

    private static KernelLaunch Launch(string kernel, int blocks, int threads, int shared = 0) => new(kernel, new(blocks), new(threads), shared, 0, 0);

    private static void ExpectOfAccesses(string? message, Func<KernelRun, string?> launch)
    {
        if (message != null)
            KernelRun.RequireSeenAccesses();
        KernelRun.InAllOrders(run => Expect(launch(run), message));
    }

    private static void Expect(string? error, string? message)
    {
        if (message == null)
            Assert.That(error, Is.Null);
        else
            Assert.That(error, Does.Match(message.Replace("(", "\\(", StringComparison.Ordinal).Replace(")", "\\)", StringComparison.Ordinal)));
    }

    private static double[] Product(float[] a, float[] b, int m, int n, int k, bool transposed)
    {
        var product = new double[m * n];
        for (int i = 0; i < m; i++)
        {
            for (int j = 0; j < n; j++)
            {
                for (int l = 0; l < k; l++)
                    product[(i * n) + j] += (double)a[(i * k) + l] * (transposed ? b[(j * k) + l] : b[(l * n) + j]);
            }
        }

        return product;
    }

    // Sums of up to 64 products of numbers below 6, in fp32.
    private static double[] Tolerance(int count) => [.. Enumerable.Repeat(64 * 36 * 8 * TestValues.UnitRoundoff, count)];
}
