using System.Text.Json;
using Trainer.Cli;

namespace Trainer.Tests.Cli;

/// <summary>The verbs at work, one after the other, as a user runs them.</summary>
public sealed class VerbsTests
{
    private string _directory = null!;

    [SetUp]
    public void SetUp() => _directory = Directory.CreateTempSubdirectory("trainer-verbs-").FullName;

    [TearDown]
    public void TearDown() => Directory.Delete(_directory, recursive: true);

    [Test]
    public void From_text_to_a_sample()
    {
        string text = Path.Combine(_directory, "text.txt"), data = Path.Combine(_directory, "data"), run = Path.Combine(_directory, "run");
        File.WriteAllText(text, string.Concat(Enumerable.Range(0, 2000).Select(i => $"The number {i} follows the number {i - 1}.\n")));

        (string prepared, _) = Run("prepare", "--input", text, "--output", data, "--tokenizer", "bytes", "--threads", "1");
        Assert.That(prepared, Does.Contain("tokens to train on").And.Contain("257 in the vocabulary (bytes)"));

        (string output, string progress) = Run("train", "--data", data, "--run", run, "--layers", "1", "--heads", "1", "--channels", "16", "--seq-len", "16",
            "--batch-size", "4", "--steps", "3", "--eval-every", "3", "--eval-batches", "1", "--sample-every", "3", "--sample-tokens", "4", "--threads", "1");
        Assert.That(output, Is.Empty, "progress belongs to standard error");
        Assert.That(progress, Does.Contain("step 3/3").And.Contain("step 3: validation loss").And.Contain("step 3: a sample").And.Contain("Done after step 3"));

        string page = Path.Combine(run, "report.html");
        Assert.That(File.ReadAllText(page), Does.EndWith("</html>\n"), "a run leaves its report");
        File.Delete(page);
        Assert.That(Run("report", run + "/").Output, Is.EqualTo(page + Environment.NewLine));
        Assert.That(File.ReadAllText(page), Does.Contain("<title>run</title>"));

        (_, string resumed) = Run("train", "--run", run, "--resume", "--steps", "4", "--eval-every", "0", "--threads", "1");
        Assert.That(resumed, Does.Contain("Done after step 4"));

        (string sample, _) = Run("sample", "--run", run, "--prompt", "The", "--tokens", "5", "--temperature", "0", "--threads", "1");
        Assert.That(sample, Does.StartWith("The"));
        Assert.That(Run("sample", "--run", run, "--prompt", "The", "--tokens", "5", "--temperature", "0", "--threads", "1").Output, Is.EqualTo(sample));

        (string losses, _) = Run("eval", "--run", run, "--batches", "1", "--json", "--threads", "1");
        using var json = JsonDocument.Parse(losses);
        Assert.That(json.RootElement.GetProperty("step").GetInt64(), Is.EqualTo(4));
        Assert.That(json.RootElement.GetProperty("valLoss").GetDouble(), Is.InRange(1, Math.Log(257) + 0.5));
    }

    [TestCase("sample", "--run DIR")]
    [TestCase("sample --run a --checkpoint b", "either")]
    [TestCase("sample --run no/such/run", "no/such/run")]
    [TestCase("eval --checkpoint no/such/file.bin", "no/such/file.bin")]
    [TestCase("prepare --output x --input no/such/text.txt", "no/such/text.txt")]
    [TestCase("prepare", "--output DIR is missing")]
    [TestCase("train --data no/such/data", "no/such/data")]
    [TestCase("bench steps", "did you mean step?")]
    [TestCase("report", "RUN... is missing")]
    [TestCase("report no/such/run", "no/such/run does not exist")]
    [TestCase("report . --titel x", "did you mean --title?")]
    [TestCase("report . --output x", "has no metrics.jsonl")]
    public void A_wrong_request_is_refused_by_name(string arguments, string named)
    {
        using var recorded = new RecordedTerminal();
        Assert.That(CommandLine.Run(arguments.Split(' '), recorded.Terminal), Is.EqualTo(2));
        Assert.That(recorded.Error, Does.Contain(named));
    }

    [Test]
    public void Every_verb_has_help_with_an_example([Values("train", "prepare", "sample", "eval", "bench", "bench step", "bench gemm", "bench memory", "bench kernels", "profile", "report", "doctor")] string verb)
    {
        (string help, _) = Run([.. verb.Split(' '), "--help"]);
        Assert.That(help, Does.Contain($"Usage: trainer {verb}").And.Contain($"  trainer {verb}"));
    }

    private static (string Output, string Error) Run(params string[] arguments)
    {
        using var recorded = new RecordedTerminal();
        Assert.That(CommandLine.Run(arguments, recorded.Terminal), Is.Zero, recorded.Error);
        return (recorded.Output, recorded.Error);
    }
}
