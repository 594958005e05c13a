using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Trainer.Data;
using Trainer.Tests.Tokenization;
using Trainer.Tokenization;

namespace Trainer.Tests.Data;

public sealed class CorpusPreparerTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void Every_byte_of_the_text_is_in_one_split_and_decodes()
    {
        string[] documents = WriteInputs();
        Dataset dataset = Prepare(new CorpusOptions { Inputs = [_folder.PathOf("in")], Output = Output, VocabularySize = 400 });

        string train = Decode(dataset, dataset.TrainShards);
        string validation = Decode(dataset, dataset.ValidationShards);
        SplitDescription held = dataset.Manifest.Validation;
        Assert.That(Encoding.UTF8.GetByteCount(validation), Is.EqualTo(held.Bytes));
        Assert.That(Encoding.UTF8.GetByteCount(train), Is.EqualTo(dataset.Manifest.Train.Bytes));
        Assert.That(held.Bytes + dataset.Manifest.Train.Bytes, Is.EqualTo(documents.Sum(Encoding.UTF8.GetByteCount)));
        Assert.That(held.Bytes / (double)documents.Sum(Encoding.UTF8.GetByteCount), Is.EqualTo(0.05).Within(0.01));
        Assert.That((train + validation).Order(), Is.EqualTo(string.Concat(documents).Order()));
    }

    [Test]
    public void End_of_text_stands_before_documents_and_where_text_was_taken_out()
    {
        WriteInputs();
        Dataset dataset = Prepare(new CorpusOptions { Inputs = [_folder.PathOf("in")], Output = Output, Tokenizer = TokenizerKind.Bytes, ValidationFraction = 0.2 });
        string all = string.Concat(InputsInOrder().Select(document => "\u0001" + document));
        foreach ((IEnumerable<string> shards, SplitDescription split) in new[] { (dataset.TrainShards, dataset.Manifest.Train), (dataset.ValidationShards, dataset.Manifest.Validation) })
        {
            int[] tokens = Tokens(shards);
            Assert.That(tokens[0], Is.EqualTo(256));
            Assert.That(tokens.Count(token => token == 256), Is.EqualTo(split.Documents));
            Assert.That(tokens, Has.Length.EqualTo(split.Tokens));

            // Between two end-of-text tokens the text is as in the input, without a gap; \u0001 marks the documents.
            string[] runs = Encoding.UTF8.GetString([.. tokens.Select(token => token == 256 ? (byte)2 : (byte)token)]).Split('\u0002', StringSplitOptions.RemoveEmptyEntries);
            Assert.That(runs, Has.Length.EqualTo(split.Documents));
            Assert.That(runs, Is.All.Matches<string>(run => all.Contains(run!, StringComparison.Ordinal) && !run!.Contains('\u0001', StringComparison.Ordinal)));
        }
    }

    [TestCase(TokenizerKind.Bpe)]
    [TestCase(TokenizerKind.Bytes)]
    [TestCase(TokenizerKind.Gpt2)]
    public void The_result_does_not_depend_on_the_threads(string kind)
    {
        WriteInputs(repeat: 40);
        BpeTokenizerTests.Tokenizer("ab abab abc", 260).Ranks.Save(_folder.PathOf("ranks.tiktoken"));
        var options = new CorpusOptions
        {
            Inputs = [_folder.PathOf("in/**/*.txt"), _folder.PathOf("in/b.jsonl")],
            Output = _folder.PathOf("one"),
            Tokenizer = kind,
            VocabularySize = 500,
            VocabularyFile = kind == TokenizerKind.Gpt2 ? _folder.PathOf("ranks.tiktoken") : null,
            TokensPerShard = 100_000,
            Threads = 1,
        };
        Prepare(options);
        Prepare(options with { Output = _folder.PathOf("two"), Threads = 2 });
        Prepare(options with { Output = _folder.PathOf("five"), Threads = 5 });
        Dictionary<string, string> expected = Digests("one");
        Assert.That(expected, Has.Count.GreaterThan(kind == TokenizerKind.Bytes ? 4 : 3));
        Assert.That(Digests("two"), Is.EqualTo(expected));
        Assert.That(Digests("five"), Is.EqualTo(expected));
    }

    [Test]
    public void Shards_are_no_larger_than_asked()
    {
        WriteInputs();
        Dataset dataset = Prepare(new CorpusOptions { Inputs = [_folder.PathOf("in")], Output = Output, Tokenizer = TokenizerKind.Bytes, TokensPerShard = 1000 });
        Dataset whole = Prepare(new CorpusOptions { Inputs = [_folder.PathOf("in")], Output = Output + "2", Tokenizer = TokenizerKind.Bytes });
        using TokenCorpus train = dataset.OpenTrain();
        Assert.That(train.Shards, Has.Count.GreaterThan(10));
        Assert.That(train.Shards.SkipLast(1).Select(shard => shard.Tokens), Is.All.EqualTo(1000));
        Assert.That(Tokens(dataset.TrainShards), Is.EqualTo(Tokens(whole.TrainShards)));
        Assert.That(Path.GetFileName(dataset.TrainShards.ElementAt(1)), Is.EqualTo("train_000001.bin"));
    }

    [Test]
    public void The_vocabulary_of_a_file_is_used_and_kept()
    {
        WriteInputs();
        BpeTokenizer tokenizer = BpeTokenizerTests.Tokenizer(InputsInOrder()[0], 300);
        tokenizer.Ranks.Save(_folder.PathOf("ranks.tiktoken"));
        Dataset dataset = Prepare(new CorpusOptions
        {
            Inputs = [_folder.PathOf("in")],
            Output = Output,
            Tokenizer = TokenizerKind.Gpt2,
            VocabularyFile = _folder.PathOf("ranks.tiktoken"),
        });
        Assert.That(dataset.Tokenizer.Kind, Is.EqualTo("gpt2"));
        Assert.That(File.ReadAllBytes(dataset.TokenizerPath!), Is.EqualTo(File.ReadAllBytes(_folder.PathOf("ranks.tiktoken"))));
        Assert.That(Tokens(dataset.TrainShards)[1..20], Is.EqualTo(BpeTokenizerTests.Encode(tokenizer, InputsInOrder()[0])[..19]));
    }

    [Test]
    public void Only_a_dataset_is_replaced_and_only_when_asked()
    {
        WriteInputs();
        var options = new CorpusOptions { Inputs = [_folder.PathOf("in")], Output = Output, Tokenizer = TokenizerKind.Bytes };
        Directory.CreateDirectory(Output);
        Prepare(options);
        Assert.That(() => Prepare(options), Throws.InstanceOf<RequestException>().With.Message.Contains("--overwrite"));
        Prepare(options with { Overwrite = true, ValidationFraction = 0.5 });
        Assert.That(Dataset.Open(Output).Manifest.ValidationFraction, Is.EqualTo(0.5));

        string other = _folder.PathOf("in");
        Assert.That(() => Prepare(options with { Output = other, Overwrite = true }), Throws.InstanceOf<RequestException>().With.Message.Contains("left alone"));
        Assert.That(() => Prepare(options with { Output = _folder.PathOf("in/a.txt"), Overwrite = true }), Throws.InstanceOf<RequestException>().With.Message.Contains("is a file"));
        Assert.That(Directory.GetFileSystemEntries(_folder.Path), Has.Length.EqualTo(2));
    }

    [Test]
    public void An_interrupted_preparation_leaves_nothing()
    {
        WriteInputs(repeat: 40);
        foreach (PreparationPhase phase in Enum.GetValues<PreparationPhase>())
        {
            using var cancellation = new CancellationTokenSource();
            var cancel = new Observer(progress =>
            {
                if (progress.Phase == phase)
                    cancellation.Cancel();
            });
            var options = new CorpusOptions { Inputs = [_folder.PathOf("in")], Output = Output, VocabularySize = 700 };
            Assert.That(() => CorpusPreparer.Prepare(options, cancel, cancellation.Token), Throws.InstanceOf<OperationCanceledException>(), phase.ToString());
            Assert.That(Directory.GetFileSystemEntries(_folder.Path), Is.EqualTo(new[] { _folder.PathOf("in") }));
        }
    }

    [Test]
    public void What_a_killed_preparation_left_is_replaced()
    {
        WriteInputs();
        _folder.Write("out.partial/train_000099.bin", "rubbish");
        Prepare(new CorpusOptions { Inputs = [_folder.PathOf("in")], Output = Output, Tokenizer = TokenizerKind.Bytes });
        Assert.That(Directory.GetFiles(Output).Select(Path.GetFileName), Is.EquivalentTo(new[] { "manifest.json", "train_000000.bin", "val_000000.bin" }));
    }

    [Test]
    public void Progress_reaches_its_end_in_every_phase()
    {
        WriteInputs();
        var reports = new List<PreparationProgress>();
        CorpusPreparer.Prepare(new CorpusOptions { Inputs = [_folder.PathOf("in")], Output = Output, VocabularySize = 300 }, new Observer(reports.Add));
        foreach (IGrouping<PreparationPhase, PreparationProgress> phase in reports.GroupBy(report => report.Phase))
        {
            Assert.That(phase.Select(report => report.Done), Is.Ordered);
            Assert.That(phase.Last().Done, Is.EqualTo(phase.Last().Total), phase.Key.ToString());
        }

        Assert.That(reports.Select(report => report.Phase).Distinct(), Is.EqualTo(Enum.GetValues<PreparationPhase>()));
    }

    [Test]
    public void Wrong_requests_say_what_is_wrong()
    {
        WriteInputs();
        var good = new CorpusOptions { Inputs = [_folder.PathOf("in")], Output = Output, Tokenizer = TokenizerKind.Bytes };
        AssertRefused(good with { Inputs = [_folder.PathOf("none.txt")] }, "does not exist");
        AssertRefused(good with { Inputs = [_folder.PathOf("*.none")] }, "no file matches");
        AssertRefused(good with { Inputs = [_folder.Write("empty.txt", "")] }, "hold no text");
        AssertRefused(good with { Inputs = [_folder.Write("tiny.txt", "tiny")] }, "4 bytes of text are too few");
        AssertRefused(good with { ValidationFraction = 0 }, "--val-fraction");
        AssertRefused(good with { ValidationFraction = double.NaN }, "--val-fraction");
        AssertRefused(good with { ValidationFraction = 1 }, "--val-fraction");
        AssertRefused(good with { Threads = 0 }, "--threads");
        AssertRefused(good with { Tokenizer = "words" }, "--tokenizer words");
        AssertRefused(good with { Tokenizer = TokenizerKind.Gpt2 }, "--vocab-file");
        AssertRefused(good with { VocabularyFile = "x" }, "--vocab-file");
        AssertRefused(good with { Tokenizer = TokenizerKind.Bpe, VocabularySize = 100 }, "--vocab-size 100");
        Directory.CreateDirectory(_folder.PathOf("no-text"));
        AssertRefused(good with { Inputs = [_folder.PathOf("no-text")] }, "holds no text");
        _folder.Write("in/bad.txt", [(byte)'a', 0xFF]);
        AssertRefused(good, "not UTF-8 at offset 1");
        Assert.That(Directory.Exists(Output) || Directory.Exists(Output + ".partial"), Is.False);
    }

    [Test]
    public void A_file_named_twice_is_read_once()
    {
        WriteInputs();
        Dataset once = Prepare(new CorpusOptions { Inputs = [_folder.PathOf("in")], Output = Output, Tokenizer = TokenizerKind.Bytes });
        Dataset twice = Prepare(new CorpusOptions { Inputs = [_folder.PathOf("in"), _folder.PathOf("in/a.txt")], Output = Output + "2", Tokenizer = TokenizerKind.Bytes });
        Assert.That(twice.Manifest.Train.Tokens, Is.EqualTo(once.Manifest.Train.Tokens));
    }

    [Test]
    public void Folders_around_a_dataset_that_was_not_made_are_not_left()
    {
        _folder.Write("bad.txt", "");
        var options = new CorpusOptions { Inputs = [_folder.PathOf("bad.txt")], Output = _folder.PathOf("one/two/three"), Tokenizer = TokenizerKind.Bytes };
        Assert.That(() => Prepare(options), Throws.TypeOf<RequestException>());
        Assert.That(Directory.Exists(_folder.PathOf("one")), Is.False);
        Directory.CreateDirectory(_folder.PathOf("one"));
        Assert.That(() => Prepare(options), Throws.TypeOf<RequestException>());
        Assert.That(Directory.EnumerateFileSystemEntries(_folder.PathOf("one")), Is.Empty);
    }

    private string Output => _folder.PathOf("out");

    private static Dataset Prepare(CorpusOptions options) => CorpusPreparer.Prepare(options);

    private static void AssertRefused(CorpusOptions options, string message) =>
        Assert.That(() => CorpusPreparer.Prepare(options), Throws.InstanceOf<RequestException>().With.Message.Contains(message));

    // A long text, some short ones, and JSON lines; the documents in the order in which they are read.
    private string[] WriteInputs(int repeat = 1)
    {
        string[] documents = [.. Enumerable.Range(0, 30).Select(i => $"document {i} " + RandomText.Words(new Random(i), i == 0 ? 2000 * repeat : 30 + (i * repeat)))];
        _folder.Write("in/a.txt", documents[0]);
        _folder.Write("in/b.jsonl", string.Concat(documents[1..20].Select(text => JsonSerializer.Serialize(new { text }) + "\n")));
        for (int i = 20; i < 30; i++)
            _folder.Write($"in/sub/{i}.txt", documents[i]);
        _folder.Write("in/ignored.bin", "not text");
        return documents;
    }

    private List<string> InputsInOrder() =>
    [
        File.ReadAllText(_folder.PathOf("in/a.txt")),
        .. File.ReadLines(_folder.PathOf("in/b.jsonl")).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("text").GetString()!),
        .. Directory.GetFiles(_folder.PathOf("in/sub")).Order(StringComparer.Ordinal).Select(File.ReadAllText),
    ];

    private static string Decode(Dataset dataset, IEnumerable<string> shards) => StreamingDecoder.Decode(dataset.Tokenizer, Tokens(shards));

    private static int[] Tokens(IEnumerable<string> shards)
    {
        using TokenCorpus corpus = TokenCorpus.Open(shards);
        var all = new List<int>();
        foreach (TokenShard shard in corpus.Shards)
        {
            var tokens = new int[shard.Tokens];
            shard.Copy(0, tokens, 1 << 20);
            all.AddRange(tokens);
        }

        return [.. all];
    }

    private Dictionary<string, string> Digests(string name) => Directory.GetFiles(_folder.PathOf(name))
        .ToDictionary(path => Path.GetFileName(path), path => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(path))));

    private sealed class Observer(Action<PreparationProgress> report) : IProgress<PreparationProgress>
    {
        public void Report(PreparationProgress value) => report(value);
    }
}
