using System.Runtime.InteropServices;
using Trainer.Cuda;
using static Trainer.Tests.Cuda.SimulatedCuda;

namespace Trainer.Tests.Cuda;

/// <summary>The simulated driver: PTX is compared with the compiled kernels, and launches with what PTX declares.</summary>
internal sealed class DriverSimulatorModuleTests : SimulatedDriverFixture
{
    private const int MaxThreads = 0, SharedBytes = 1, MaxDynamicShared = 8;

    private static string Text(string entries, string version = "8.4", string target = "sm_80") =>
        $".version {version}\n.target {target}\n.address_size 64\n{entries}";

    private static string Ticket(string parameters, string directives = "", string body = "ret;") =>
        Text($".visible .entry selftest_ticket({parameters}) {directives} {{ {body} }}");

    [Test]
    public void The_kernels_of_the_product_are_those_that_were_compiled_for_the_CPU()
    {
        var modules = PtxModules.All();
        if (modules.Count == 0)
            Assert.Ignore("the kernels were not compiled to PTX; ./build.sh --target=Kernels does it or says what it needs");
        foreach (var module in modules)
        {
            Check(LoadModule(module.Text, out nint handle, out string log));
            Assert.That(log, Is.Empty);
            foreach (PtxKernel kernel in module.Kernels)
                Check(GetFunction(out _, handle, kernel.Name));
            Assert.That(module.Text, Does.Contain($"// source: {module.Name}.cu "), "so that PTX of other sources would be refused");
        }

        SetDevice(80, 0, 0);
        foreach (var module in modules)
            Assert.That(LoadModule(module.Text, out _, out _), Is.EqualTo(module.Target == "sm_80" ? 0 : NoBinary), module.Name);
    }

    [TestCase(".param .u64 out", InvalidImage, "selftest_ticket has 1 parameters in PTX and 2 as it was compiled")]
    [TestCase(".param .u64 out, .param .u32 count", InvalidImage, "parameter 1 is '.u32' of 4 bytes in PTX, and a pointer of 8 bytes")]
    [TestCase(".param .f64 out, .param .u64 count", InvalidImage, "parameter 0 is '.f64' of 8 bytes in PTX, and a pointer")]
    [TestCase(".param .align 8 .b8 out[8], .param .u64 count", InvalidImage, "parameter 0 is '.align 8 .b8' of 8 bytes in PTX, and a pointer")]
    [TestCase(".param .u64 out .param .u64 count", InvalidPtx, "PTX line 4: ',' or '\\)' is missing before '.param'")]
    [TestCase(".u64 out", InvalidPtx, "'.param' is missing before '.u64'")]
    [TestCase(".param .u64 .ptr .global .align 4 out, .param .u64 count", 0, "")]
    public void Parameters_are_compared(string parameters, int code, string message)
    {
        int result = LoadModule(Ticket(parameters), out _, out string log);
        Assert.That(result, Is.EqualTo(code), () => Message);
        Assert.That(log, code == 0 ? Is.Empty : Does.Match(message), "the compiler's log");
    }

    [Test]
    public void A_structure_has_the_alignment_of_the_compiled_one()
    {
        string ptx = Ptx.Replace(".align 4 .b8 pair[8]", ".align 8 .b8 pair[8]", StringComparison.Ordinal);
        Fails(LoadModule(ptx, out _, out _), InvalidImage, "parameter 6 is '.align 8 .b8' of 8 bytes in PTX, and a structure of 8 bytes, aligned to 4");
    }

    [TestCase("8.5", "sm_80", 222, "PTX 8.5 is newer than the driver's 8.4")]
    [TestCase("8.4", "sm_100", NoBinary, "PTX for sm_100 does not run on compute capability 9.0")]
    [TestCase("8.4", "sm_80a", NoBinary, "PTX for sm_80a does not run on compute capability 9.0")]
    [TestCase("8.4", "compute", InvalidPtx, "the target 'compute' is unknown")]
    [TestCase("8.4", "sm_90a", 0, "")]
    public void Version_and_target_are_what_the_device_runs(string version, string target, int code, string message)
    {
        int result = LoadModule(Text("", version, target), out _, out string log);
        Assert.That(result, Is.EqualTo(code));
        Assert.That(log, Does.Contain(message));
    }

    [TestCase("int main() { return 0; }", InvalidPtx, "this is no PTX")]
    [TestCase("\u007fELF", NoBinary, "machine code")]
    [TestCase(".version 8.4\n.target sm_80\n.entry selftest_unknown() { ret; }", InvalidImage, "selftest_unknown was not compiled for the CPU")]
    [TestCase(".version 8.4\n.target sm_80\n.entry selftest_block_race(.param .u64 a) { ret;", InvalidPtx, "has no end")]
    [TestCase(".version 8.4\n.target sm_80\n// source: selftest.cu 0000\n", InvalidImage, "compiled with another selftest.cu than the simulator")]
    [TestCase(".version 8.4\n.target sm_80\n// source: other.cu 0000\n", InvalidImage, "compiled with other.cu, which the simulator does not know")]
    public void Text_that_is_not_the_kernels_is_refused(string text, int code, string message)
    {
        Fails(LoadModule(text, out _, out string log), code, message);
        Assert.That(log, Does.Contain(message));
    }

    [TestCase("", 1024)]
    [TestCase(".maxntid 96, 2, 1 .minnctapersm 2", 192)]
    [TestCase(".reqntid 32", 32)]
    public void Launch_bounds_are_those_of_the_PTX(string directives, int threads)
    {
        nint function = Load(Ticket(".param .u64 out, .param .u64 count", directives));
        Assert.That(FunctionAttribute(function, MaxThreads), Is.EqualTo(threads));
        ulong output = Allocate(4), count = Put(0);
        SetEmptyKernels(true);
        Check(Launch(function, (1, 1, 1), ((uint)threads, 1, 1), 0, Stream, output, count));
        Fails(Launch(function, (1, 1, 1), ((uint)threads + 1, 1, 1), 0, Stream, output, count), InvalidValue, "block of .* threads");
        if (directives.StartsWith(".reqntid", StringComparison.Ordinal))
            Fails(Launch(function, (1, 1, 1), (16, 1, 1), 0, Stream, output, count), InvalidValue, "launch bounds of 32 x 1 x 1");
    }

    [TestCase(0u, 1u, 1u, 1u, 1u, 1u)]
    [TestCase(1u, 65536u, 1u, 1u, 1u, 1u)]
    [TestCase(1u, 1u, 65536u, 1u, 1u, 1u)]
    [TestCase(1u, 1u, 1u, 0u, 1u, 1u)]
    [TestCase(1u, 1u, 1u, 1025u, 1u, 1u)]
    [TestCase(1u, 1u, 1u, 1u, 1u, 65u)]
    [TestCase(1u, 1u, 1u, 32u, 33u, 1u)]
    public void Grids_and_blocks_have_limits(uint gridX, uint gridY, uint gridZ, uint blockX, uint blockY, uint blockZ)
    {
        ulong memory = Put(0, 0);
        int result = Launch(Function("selftest_ticket"), (gridX, gridY, gridZ), (blockX, blockY, blockZ), 0, Stream, memory, memory + 4);
        Fails(result, InvalidValue, "selftest_ticket: a (grid|block) of");
        Assert.That(ExecutedKernels, Is.Zero);
    }

    [Test]
    public void Shared_memory_beyond_48_KiB_has_to_be_asked_for()
    {
        nint function = Load(Ticket(".param .u64 out, .param .u64 count", body: ".shared .align 16 .b8 tile[40960]; .shared .u32 word; ret;"));
        ulong output = Allocate(4), count = Put(0);
        Assert.That(FunctionAttribute(function, SharedBytes), Is.EqualTo(40964));
        Assert.That(FunctionAttribute(function, MaxDynamicShared), Is.EqualTo(49152 - 40964));
        Fails(Launch(function, (1, 1, 1), (1, 1, 1), 8189, Stream, output, count), InvalidValue, "8189 bytes of dynamic shared memory; its limit is 8188");
        Fails(SetFunctionAttribute(function, MaxDynamicShared, (227 << 10) - 40963), InvalidValue, "can have 191484 beside the static ones");
        Check(SetFunctionAttribute(function, MaxDynamicShared, 100000));
        Check(Launch(function, (1, 1, 1), (1, 1, 1), 100000, Stream, output, count));
        Check(Synchronize(Stream));
    }

    [Test]
    public unsafe void Arguments_are_not_left_out()
    {
        nint function = Function("selftest_ticket");
        Fails(LaunchAt(function, (1, 1, 1), (1, 1, 1), 0, Stream, null), InvalidValue, "argument 0 of 2 is missing");
        ulong memory = Put(0);
        nint* arguments = stackalloc nint[] { (nint)(&memory), 0 };
        Fails(LaunchAt(function, (1, 1, 1), (1, 1, 1), 0, Stream, arguments), InvalidValue, "argument 1 of 2 is missing");
        Fails(GetFunction(out _, LoadedModule, "other"), NotFound, "no kernel other");
    }

    [Test]
    public unsafe void Tensor_maps_lead_to_live_memory()
    {
        const int rows = 128, columns = 64, elementBytes = 2, shared = (64 * 128) + 64;
        nint function = Load(Text(
            ".entry selftest_tma(.param .align 64 .b8 a[128], .param .align 64 .b8 b[128], .param .u32 x, .param .u32 y, .param .u32 mistake) { ret; }",
            target: "sm_90a"));
        ushort[] ones = [.. Enumerable.Repeat((ushort)0x3f80, rows * columns)];
        ulong from = Put(ones), to = Put(new ushort[rows * columns]);
        byte* maps = (byte*)NativeMemory.AlignedAlloc(256, 64);
        Check(EncodeTensorMap(maps, from, columns, rows, columns * elementBytes));
        Check(EncodeTensorMap(maps + 128, to, columns, rows, columns * elementBytes));
        int x = 0, y = 64, mistake = 0;
        nint* arguments = stackalloc nint[] { (nint)maps, (nint)(maps + 128), (nint)(&x), (nint)(&y), (nint)(&mistake) };
        Check(LaunchAt(function, (1, 1, 1), (96, 1, 1), shared, Stream, arguments));
        ushort[] stored = Get<ushort>(to, rows * columns);
        Assert.That(stored[..(64 * columns)], Is.All.Zero);
        Assert.That(stored[(64 * columns)..], Is.All.EqualTo(0x4000), "1 + 1 = 2");

        Fails(EncodeTensorMap(maps, from + 2, columns, rows, columns * elementBytes), InvalidValue, "not a multiple of 16");
        Fails(EncodeTensorMap(maps, from, columns, rows, columns), InvalidValue, "a pitch is smaller");
        Fails(EncodeTensorMap(maps, from, columns, rows, columns * elementBytes, type: 7), InvalidValue, "only bf16");
        Check(Free(to));
        FailsLater(LaunchAt(function, (1, 1, 1), (96, 1, 1), shared, Stream, arguments), IllegalAddress, "argument 1.*freed allocation");
        SetDevice(80, 0, 0);
        Fails(EncodeTensorMap(maps, from, columns, rows, columns * elementBytes), 801, "9.0 has");
        NativeMemory.AlignedFree(maps);
    }

    // The only kernel of a module.
    private static nint Load(string ptx)
    {
        Check(LoadModule(ptx, out nint module, out _));
        string name = PtxModule.Parse("x", ptx).Kernels.Single().Name;
        Check(GetFunction(out nint function, module, name));
        return function;
    }
}
