using System.Globalization;
using System.Text.Json;
using Trainer.Cli;
using Trainer.Cli.Profiling;
using Trainer.Cpu;
using Trainer.Model;
using Trainer.Training;

namespace Trainer.Tests.Cli;

public sealed class ProfileTests
{
    private static readonly string[] TinyModel =
        ["--layers", "2", "--heads", "2", "--channels", "16", "--seq-len", "8", "--batch-size", "2", "--vocab-size", "30", "--threads", "1"];

    [Test]
    public void The_roofline_table()
    {
        Assert.That(ProfileText.Operations(RecordedProfile.Create()), Is.EqualTo("""
            device    device
            model     L1
            roofline  10.0 GB/s by copying, 100.0 GFLOP/s by multiply-adds, measured now

            operation       calls  ms/step    share  GB/s  GFLOP/s  floor, ms  of floor
            product, large      1   12.000   70.6 %   0.7     33.3      4.000    33.3 %
            copy                1    3.000   17.6 %   6.7               2.000    66.7 %
            product             2    2.000   11.8 %   2.0    100.0      2.000   100.0 %
            all operations      4   17.000  100.0 %   1.9     35.3      8.000    47.1 %
            step                    25.000
            """.ReplaceLineEndings("\n")));
    }

    [Test]
    public void The_table_of_launches()
    {
        Assert.That(ProfileText.Launches(RecordedProfile.Create(host: 0.02)), Is.EqualTo("""
            device    device
            model     L1
            roofline  10.0 GB/s by copying, 100.0 GFLOP/s by multiply-adds, measured now

            kernel                of  launches     MB  GFLOP        us  floor, us  of floor  ms/step
            product, large  64x32x16         1   8.00  0.400  16,000.0    4,000.0    25.0 %   12.000
            copy                             1  20.00          3,000.0    2,000.0    66.7 %    3.000
            product          64x8x16         2   2.00  0.100   1,000.0    1,000.0   100.0 %    2.000
            all operations                   4                                       47.1 %   17.000

            The host takes longer to launch a step than the device to do it: the times of short kernels contain waiting.
            """.ReplaceLineEndings("\n")));
    }

    [Test]
    public void Times_of_the_host_and_of_a_cache_are_pointed_out()
    {
        StepProfile profile = RecordedProfile.Create(host: 0.0075);
        string text = ProfileText.Operations(profile);
        Assert.That(text, Does.Contain("\nhost, launching it").And.Contain("7.500").And.Not.Contain("cache").And.Not.Contain("waiting"));
        Assert.That(ProfileText.Operations(profile with { Roofline = new Roofline(1e9, 100e9) }), Does.EndWith("measured too low."));
        Assert.That(ProfileText.Operations(profile with { Roofline = new Roofline(1e12, 800e12) }), Does.Contain("800.0 TFLOP/s").And.Contain("  TFLOP/s  "));
    }

    [Test]
    public void The_table_by_size_as_comma_separated_values()
    {
        using var writer = new StringWriter { NewLine = "\n" };
        ProfileFiles.WriteCsv(writer, RecordedProfile.Create());
        string[] lines = writer.ToString().TrimEnd().Split('\n');
        string[] columns = lines[0].Split(',');
        Assert.That(lines, Has.Length.EqualTo(4));
        Assert.That(lines[1], Does.StartWith("\"product, large\",64x32x16,1,8000000,400000000,"));
        string[] product = lines.First(line => line.StartsWith("product,", StringComparison.Ordinal)).Split(',');
        Assert.That(product, Has.Length.EqualTo(columns.Length));
        (string Column, double Value)[] expected =
        [
            ("callsPerStep", 2), ("bytesPerCall", 2e6), ("flopsPerCall", 1e8), ("medianMicroseconds", 1000), ("fastestMicroseconds", 1000),
            ("millisecondsPerStep", 2), ("share", 2.0 / 17), ("bytesPerSecond", 2e9), ("flopsPerSecond", 1e11), ("floorMicroseconds", 1000), ("shareOfFloor", 1),
        ];
        Assert.That(columns, Is.EqualTo(expected.Select(value => value.Column).Prepend("sizes").Prepend("operation")));
        foreach ((string column, double value) in expected)
            Assert.That(double.Parse(product[Array.IndexOf(columns, column)], CultureInfo.InvariantCulture), Is.EqualTo(value).Within(1e-9 * value), column);
    }

    [Test]
    public void The_trace_is_nested_and_in_microseconds()
    {
        using var stream = new MemoryStream();
        ProfileFiles.WriteTrace(stream, RecordedProfile.Create(host: 0.02));
        using var trace = JsonDocument.Parse(stream.ToArray());
        JsonElement[] events = [.. trace.RootElement.GetProperty("traceEvents").EnumerateArray()];
        var complete = events.Where(one => one.GetProperty("ph").GetString() == "X").Select(one => new
        {
            Name = one.GetProperty("name").GetString(),
            Track = one.GetProperty("tid").GetInt32(),
            Start = one.GetProperty("ts").GetDecimal(),
            End = one.GetProperty("ts").GetDecimal() + one.GetProperty("dur").GetDecimal(),
            Step = one.GetProperty("args").GetProperty("step").GetInt32(),
        }).ToArray();
        Assert.That(complete.GroupBy(one => one.Track).Select(track => track.Count()), Is.EqualTo(new[] { 8, 10 }), "4 operations; step, 3 phases and 1 call");
        var copy = complete.First(one => one is { Name: "copy", Step: 2 });
        Assert.That(copy, Is.EqualTo(new { Name = "copy", Track = 1, Start = 120_000.1m, End = 123_000.1m, Step = 2 }));
        JsonElement product = events.First(one => one.GetProperty("name").GetString() == "product").GetProperty("args");
        Assert.That((product.GetProperty("bytes").GetInt64(), product.GetProperty("flops").GetInt64()), Is.EqualTo((2_000_000L, 100_000_000L)));

        // On a track, two events either do not overlap or one contains the other.
        foreach (var track in complete.GroupBy(one => one.Track))
        {
            foreach (var a in track)
            {
                foreach (var b in track.Where(b => b.Start >= a.Start && b != a))
                    Assert.That(b.Start >= a.End || b.End <= a.End || (b.Start == a.Start && b.End >= a.End), $"{a} and {b}");
            }
        }
    }

    [Test]
    public void Every_operation_of_a_step_on_the_CPU_is_there()
    {
        const int layers = 2, c = 16, rows = 16, padded = 128;
        using var backend = new CpuBackend(threads: 1);
        var settings = new TrainingSettings
        {
            Layers = layers, Heads = 2, Channels = c, SeqLen = 8, BatchSize = 2, TotalBatchTokens = 2 * rows, Recompute = "gelu-layernorm",
            Regularizer = "norm-control", NormTarget = 1.5,
        };
        StepProfile profile = StepProfiler.Run(backend, settings, vocabulary: 30, steps: 2, () => new Roofline(1e9, 1e9), CancellationToken.None);
        Dictionary<string, OperationRow> rowOf = profile.ByName().ToDictionary(row => row.Operation);

        // Two micro-batches: each uploads tokens and targets, and has four linear layers in a block and the classifier.
        Assert.Multiple(() =>
        {
            Assert.That(rowOf.ToDictionary(pair => pair.Key, pair => pair.Value.Calls), Is.EquivalentTo(new Dictionary<string, double>
            {
                ["Upload"] = 4, ["EmbeddingForward"] = 2, ["LayerNormForward"] = 2 + (2 * 2), ["ResidualLayerNormForward"] = 2 * 2 * layers,
                ["GeluForward"] = 2, ["LinearForward"] = 2 * ((4 * layers) + 1), ["AttentionForward"] = 2 * layers, ["SoftmaxCrossEntropy"] = 2, ["AddMean"] = 2,
                ["Zero"] = 2 + 1 + (4 * layers) + 2, ["LinearBackwardWeight"] = 2 * ((4 * layers) + 1), ["LinearBackwardInput"] = 2 * ((4 * layers) + 1),
                ["LayerNormBackward"] = 2 * ((2 * layers) + 1), ["AttentionBackward"] = 2 * layers, ["EmbeddingBackward"] = 2,
                ["Download"] = 1, ["SumOfSquares"] = 1, ["AdamUpdate"] = 1, ["Scale"] = 1,
            }));
            double products = 2 * 2.0 * rows * ((12 * c * c * layers) + (padded * c));
            foreach (string operation in new[] { "LinearForward", "LinearBackwardInput", "LinearBackwardWeight" })
                Assert.That(rowOf[operation].Flops, Is.EqualTo(products), operation);
            Assert.That(profile.ByName().Sum(row => row.Share), Is.EqualTo(1).Within(1e-12));
            Assert.That(profile.BySize().Sum(row => row.Share), Is.EqualTo(1).Within(1e-12));
            Assert.That(profile.BySize().Sum(row => row.Flops), Is.EqualTo(profile.Total.Flops));
            Assert.That(profile.Steps.Select(step => step.Number), Is.EqualTo(new[] { 1, 2 }));
            Assert.That(profile.Steps.Select(step => step.Whole.Seconds - step.Device.Sum(operation => operation.Seconds)), Has.All.AtLeast(0));
            Assert.That(profile.HostSeconds, Is.Null);
            Assert.That(backend.Observer, Is.Null);
            Assert.That(backend.LiveAllocations, Is.Zero);
        });
    }

    [Test]
    public void The_verb_writes_trace_and_table_and_says_where()
    {
        using var folder = new TemporaryFolder();
        string output = Path.Combine(folder.Path, "p");
        (string text, string error) = Run(["profile", "--steps", "1", "--output", output, .. TinyModel]);
        Assert.That(text, Does.StartWith("device    cpu,").And.Contain("L2 H2 C16 T8 V30 B2, 16 tokens a step"));
        Assert.That(text, Does.Contain("\nLinearForward ").And.Contain("\nall operations "));
        Assert.That(text, Does.Contain(Path.Combine(output, "trace.json")).And.Contain(Path.Combine(output, "operations.csv")));
        Assert.That(error, Does.StartWith("Profiling 1 step on cpu,"));
        using var trace = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(output, "trace.json")));
        Assert.That(trace.RootElement.GetProperty("traceEvents").GetArrayLength(), Is.GreaterThan(20));
        Assert.That(File.ReadAllText(Path.Combine(output, "operations.csv")), Does.StartWith(ProfileFiles.CsvColumns + "\n"));

        // The configuration of a run is taken, whatever else it says.
        string config = Path.Combine(folder.Path, "config.json");
        File.WriteAllText(config, """{"layers": 1, "heads": 1, "channels": 8, "seqLen": 4, "batchSize": 1, "data": "nowhere", "steps": 7, "threads": 1}""");
        (string json, _) = Run(["profile", "--config", config, "--vocab-size", "30", "--steps", "1", "--output", output, "--json"]);
        using var answer = JsonDocument.Parse(json);
        Assert.That(answer.RootElement.GetProperty("model").GetString(), Does.StartWith("L1 H1 C8 T4 V30 B1,"));
        Assert.That(answer.RootElement.GetProperty("millisecondsPerStep").GetDouble(), Is.Positive);
        double shares = answer.RootElement.GetProperty("operations").EnumerateArray().Sum(row => row.GetProperty("share").GetDouble());
        Assert.That(shares, Is.EqualTo(1).Within(1e-12));
        Assert.That(answer.RootElement.GetProperty("trace").GetString(), Is.EqualTo(Path.Combine(output, "trace.json")));
    }

    [Test]
    public void The_verb_takes_the_options_that_make_a_step()
    {
        (string help, _) = Run(["profile", "--help"]);
        foreach (string name in new[] { "--steps N", "--preset", "--batch-size", "--total-batch-tokens", "--recompute", "--regularizer", "--device", "--output" })
            Assert.That(help, Does.Contain($"\n  {name}"));
        foreach (string name in new[] { "--data", "--run", "--resume", "--init-from", "--eval-every", "--checkpoint-every" })
            Assert.That(help, Does.Not.Contain($"\n  {name}"));
    }

    [Test]
    public void The_kernel_benchmark_lists_operations_by_size()
    {
        (string json, _) = Run(["bench", "kernels", "--seq-len", "16", "--batch-size", "1", "--vocab-size", "64", "--steps", "1", "--threads", "1", "--json"]);
        using var answer = JsonDocument.Parse(json);
        int channels = ModelPresets.Find(ModelPresets.DefaultName).Channels;
        JsonElement mlp = answer.RootElement.GetProperty("operations").EnumerateArray().Single(row =>
            row.GetProperty("operation").GetString() == "LinearForward" && row.GetProperty("sizes").GetString() == $"16x{4 * channels}x{channels}");
        Assert.That(mlp.GetProperty("callsPerStep").GetDouble(), Is.EqualTo(ModelPresets.Find(ModelPresets.DefaultName).Layers));
        Assert.That(mlp.GetProperty("flopsPerCall").GetDouble(), Is.EqualTo(2.0 * 16 * 4 * channels * channels));
        Assert.That(mlp.GetProperty("medianMicroseconds").GetDouble(), Is.Positive);
    }

    private static (string Output, string Error) Run(string[] arguments)
    {
        using var recorded = new RecordedTerminal();
        Assert.That(CommandLine.Run(arguments, recorded.Terminal), Is.Zero, recorded.Error);
        return (recorded.Output, recorded.Error);
    }
}
