using System.Runtime.InteropServices;
using Trainer.Cuda;

namespace Trainer.Tests.Cuda;

public sealed class LibrarySearchTests
{
    [Test]
    public void The_driver_is_the_systems_first()
    {
        var everywhere = new LibrarySearch(folder: null, toolkit: "/opt/cuda", windows: false);
        Assert.That(everywhere.Candidates(CudaLibrary.Driver), Is.EqualTo(new[]
        {
            "libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1", "/usr/lib/x86_64-linux-gnu/libcuda.so.1", "/usr/lib/aarch64-linux-gnu/libcuda.so.1",
            "/usr/lib64/libcuda.so.1",
        }));
    }

    [Test]
    public void CuBLAS_is_the_systems_first_then_the_toolkits_then_that_of_the_usual_places()
    {
        var everywhere = new LibrarySearch(folder: null, toolkit: "/opt/cuda", windows: false);
        Assert.That(everywhere.Candidates(CudaLibrary.CublasLt), Is.EqualTo(new[]
        {
            "libcublasLt.so.13", "libcublasLt.so.12",
            "/opt/cuda/lib64/libcublasLt.so.13", "/opt/cuda/lib64/libcublasLt.so.12",
            "/opt/cuda/lib/libcublasLt.so.13", "/opt/cuda/lib/libcublasLt.so.12",
            "/usr/local/cuda/lib64/libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.12",
            "/usr/local/cuda-13/lib64/libcublasLt.so.13", "/usr/local/cuda-13/lib64/libcublasLt.so.12",
            "/usr/local/cuda-12/lib64/libcublasLt.so.13", "/usr/local/cuda-12/lib64/libcublasLt.so.12",
        }));
        string[] first = ["libcublas.so.13", "libcublas.so.12", "/opt/cuda/lib64/libcublas.so.13"];
        Assert.That(everywhere.Candidates(CudaLibrary.Cublas).Take(3), Is.EqualTo(first));
        Assert.That(new LibrarySearch(null, toolkit: null, windows: false).Candidates(CudaLibrary.Cublas), Has.None.Contains("/opt/cuda"));
    }

    [TestCase("12.9", "libcublas.so.12", "libcublas.so.13")]
    [TestCase("13.0", "libcublas.so.13", "libcublas.so.12")]
    public void An_old_driver_gets_the_cuBLAS_that_it_can_run(string driver, string first, string second) => Assert.That(
        new LibrarySearch(null, null, windows: false).Candidates(CudaLibrary.Cublas, Version.Parse(driver)).Take(2), Is.EqualTo(new[] { first, second }));

    [Test]
    public void Windows_has_other_names_and_one_place_more()
    {
        var windows = new LibrarySearch(folder: null, toolkit: @"C:\CUDA\", windows: true);
        Assert.That(windows.Candidates(CudaLibrary.Driver), Is.EqualTo(new[] { "nvcuda.dll" }));
        Assert.That(windows.Candidates(CudaLibrary.CublasLt), Is.EqualTo(new[]
        {
            "cublasLt64_13.dll", "cublasLt64_12.dll",
            @"C:\CUDA\bin\x64\cublasLt64_13.dll", @"C:\CUDA\bin\x64\cublasLt64_12.dll", @"C:\CUDA\bin\cublasLt64_13.dll", @"C:\CUDA\bin\cublasLt64_12.dll",
        }));
        Assert.That(windows.Candidates(CudaLibrary.Cublas)[0], Is.EqualTo("cublas64_13.dll"));
    }

    [Test]
    public void A_named_folder_is_the_only_place()
    {
        var linux = new LibrarySearch("/simulated", "/opt/cuda", windows: false);
        Assert.That(linux.Candidates(CudaLibrary.Driver), Is.EqualTo(new[] { "/simulated/libcuda.so.1" }));
        Assert.That(linux.Candidates(CudaLibrary.Cublas), Is.EqualTo(new[] { "/simulated/libcublas.so.13", "/simulated/libcublas.so.12" }));
        Assert.That(new LibrarySearch(@"C:\simulated", null, windows: true).Candidates(CudaLibrary.Driver), Is.EqualTo(new[] { @"C:\simulated\nvcuda.dll" }));
    }

    [Test]
    public void A_named_folder_may_be_relative()
    {
        Assert.That(LibrarySearch.OnlyFolder("here"), Is.EqualTo(Path.GetFullPath("here")));
    }

    [Test]
    [Platform("Linux")]
    public void The_first_that_can_be_loaded_is_loaded_and_nothing_after_it_is_tried()
    {
        using var folder = new TemporaryFolder();
        string missing = Path.Combine(folder.Path, "missing.so");
        string broken = Path.Combine(folder.Path, "broken.so");
        File.WriteAllText(broken, "not a library, but long enough to be read as the header of one, which is 64 bytes\n");
        string good = AnyLibrary.CopyTo(folder, "good.so");
        var tried = new List<string>();

        var loaded = LibrarySearch.Load(["libno-such-library.so.1", missing, broken, good, "never.so"], tried);

        Assert.That(loaded?.Name, Is.EqualTo(good));
        Assert.That(tried, Has.Count.EqualTo(4));
        Assert.That(tried[0], Is.EqualTo("libno-such-library.so.1: not found"));
        Assert.That(tried[1], Is.EqualTo($"{missing}: not found"));
        Assert.That(tried[2], Is.EqualTo($"{broken}: not loaded: {broken}: invalid ELF header"));
        Assert.That(tried[3], Is.EqualTo($"{good}: found"));
        NativeLibrary.Free(loaded!.Value.Handle);
    }

    [Test]
    public void Nothing_found_is_an_answer()
    {
        var tried = new List<string>();
        Assert.That(LibrarySearch.Load(["libno-such-library.so.1"], tried), Is.Null);
        Assert.That(tried, Is.EqualTo(new[] { "libno-such-library.so.1: not found" }));
    }
}
