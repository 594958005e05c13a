using Trainer.Cuda;

namespace Trainer.Tests.Cuda.Linear;

public sealed class LinearCacheTests
{
    private static readonly LinearCacheKey Key = new("NVIDIA H100 80GB HBM3", "9.0", 12040, 120405, 120405, "1.0.0");

    [Test]
    public void Choices_are_found_again()
    {
        using var folder = new TemporaryFolder();
        string inner = folder.PathOf("not/yet/there");
        new LinearCache(inner, Key).Add([new("bf16 forward 8x8x8", "wgmma 128 splits 1")]);
        new LinearCache(inner, Key).Add([new("bf16 forward 16x8x8", "mma splits 1")]);
        var cache = new LinearCache(inner, Key);
        Assert.That(cache.Find("bf16 forward 8x8x8"), Is.EqualTo("wgmma 128 splits 1"));
        Assert.That(cache.Find("bf16 forward 16x8x8"), Is.EqualTo("mma splits 1"));
        Assert.That(cache.Find("bf16 forward 24x8x8"), Is.Null);
        Assert.That(Directory.GetFiles(inner), Has.Length.EqualTo(1), "nothing temporary is left");
    }

    [Test]
    public void What_two_processes_measure_at_the_same_time_is_kept_together()
    {
        using var folder = new TemporaryFolder();
        var (first, second) = (new LinearCache(folder.Path, Key), new LinearCache(folder.Path, Key));
        first.Add([new("a", "mma splits 1")]);
        second.Add([new("b", "mma splits 2")]);
        Assert.That(new LinearCache(folder.Path, Key).Find("a"), Is.EqualTo("mma splits 1"));
    }

    [Test]
    public void Another_device_library_or_program_has_its_own()
    {
        using var folder = new TemporaryFolder();
        new LinearCache(folder.Path, Key).Add([new("a", "mma splits 1")]);
        LinearCacheKey[] others =
        [
            Key with { Device = "NVIDIA H200" }, Key with { ComputeCapability = "8.0" }, Key with { Driver = 12080 }, Key with { CublasLt = 0 },
            Key with { Cublas = 130000 }, Key with { Trainer = "1.0.1" },

            // The same name of a file.
            Key with { Device = "NVIDIA H100/80GB HBM3" },
        ];
        foreach (LinearCacheKey other in others)
            Assert.That(new LinearCache(folder.Path, other).Find("a"), Is.Null, other.ToString());
    }

    [TestCase("")]
    [TestCase("{\"device\": \"NVIDIA H100 80GB HBM3\", \"choices\": {\"a\": \"mma spl")]
    [TestCase("[]")]
    [TestCase("{}")]
    [TestCase("{\"device\": \"NVIDIA H100 80GB HBM3\"}")]
    [TestCase("{\"device\": \"NVIDIA H100 80GB HBM3\", \"choices\": 7}")]
    [TestCase("{\"device\": \"NVIDIA H100 80GB HBM3\", \"choices\": {\"a\": 7}}")]
    [TestCase("{\"device\": \"NVIDIA H100 80GB HBM3\", \"choices\": {\"a\": \"b\", \"a\": \"c\"}}")]
    [TestCase("\0\0\0\0")]
    public void A_corrupt_file_is_passed_over_and_replaced(string text)
    {
        using var folder = new TemporaryFolder();
        folder.Write(Key.FileName, text);
        var cache = new LinearCache(folder.Path, Key);
        Assert.That(cache.Find("a"), Is.Null);
        cache.Add([new("a", "mma splits 1")]);
        Assert.That(new LinearCache(folder.Path, Key).Find("a"), Is.EqualTo("mma splits 1"));
    }

    [Test]
    public void A_folder_that_cannot_be_written_costs_nothing_else()
    {
        using var folder = new TemporaryFolder();
        string file = folder.Write("file", "no folder");
        var cache = new LinearCache(file, Key);
        cache.Add([new("a", "mma splits 1")]);
        Assert.That(cache.Find("a"), Is.EqualTo("mma splits 1"));
        Assert.That(new LinearCache(file, Key).Find("a"), Is.Null);
    }
}
