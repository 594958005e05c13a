using System.Text;
using System.Text.Json;
using Trainer.Tokenization;

namespace Trainer.Tests.Tokenization;

public sealed class MergeRanksTests
{
    private static readonly string Corpus = RandomText.Words(new Random(3), 500) + RandomText.WithinPlane(new Random(3), 500);

    private TemporaryFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void A_rank_file_is_read_as_it_was_written()
    {
        MergeRanks ranks = BpeTokenizerTests.Tokenizer(Corpus, 400).Ranks;
        string path = _folder.PathOf("t.tiktoken");
        ranks.Save(path);
        AssertEqual(MergeRanks.Load(path), ranks);
        AssertEqual(MergeRanks.Load(_folder.Path), ranks);
    }

    [Test]
    public void Windows_line_ends_are_accepted()
    {
        string[] lines = Lines();
        string path = _folder.Write("t.tiktoken", string.Join("\r\n", lines) + "\r\n");
        Assert.That(MergeRanks.Load(path).Count, Is.EqualTo(lines.Length));
    }

    [TestCase("nonsense", "line 258: not a rank file")]
    [TestCase("YWI=", "line 258: not a rank file")]
    [TestCase("YWI= 257 1", "line 258: not a rank file")]
    [TestCase("YWI= -257", "line 258: not a rank file")]
    [TestCase("YWI= x", "line 258: not a rank file")]
    [TestCase("Y!I= 257", "not base64")]
    [TestCase("YWI= 258", "expected rank 257, found 258")]
    [TestCase("YQ== 257", "repeats the token of line")]
    [TestCase("", "line 258: not a rank file")]
    public void A_damaged_line_is_named(string line, string expected)
    {
        string[] lines = Lines();
        lines[257] = line;
        string path = _folder.Write("t.tiktoken", string.Join('\n', lines) + "\n");
        Assert.That(() => MergeRanks.Load(path), Throws.InstanceOf<RequestException>().With.Message.Contains(expected).And.Message.Contains(path));
    }

    [Test]
    public void A_rank_file_that_was_cut_anywhere_but_between_lines_is_refused()
    {
        string[] lines = Lines();
        string all = string.Join('\n', lines) + "\n";
        for (int cut = all.Length - lines[^1].Length; cut < all.Length; cut++)
        {
            string path = _folder.Write("t.tiktoken", all[..cut]);
            Assert.That(() => MergeRanks.Load(path), Throws.InstanceOf<RequestException>().With.Message.Contains($"line {lines.Length}"));
        }
    }

    [Test]
    public void A_rank_file_without_all_bytes_is_refused()
    {
        string path = _folder.Write("t.tiktoken", string.Join('\n', Lines()[..200]) + "\n");
        Assert.That(() => MergeRanks.Load(path), Throws.InstanceOf<RequestException>().With.Message.Contains("0xc8"));
    }

    [Test]
    public void Missing_and_empty_files_are_refused()
    {
        Assert.That(() => MergeRanks.Load(_folder.PathOf("none.tiktoken")), Throws.InstanceOf<RequestException>().With.Message.Contains("does not exist"));
        Assert.That(() => MergeRanks.Load(_folder.Path), Throws.InstanceOf<RequestException>().With.Message.Contains("holds no tokenizer"));
        Assert.That(() => MergeRanks.Load(_folder.Write("e.tiktoken", "")), Throws.InstanceOf<RequestException>().With.Message.Contains("empty"));
    }

    [TestCase("vocab.bpe", "encoder.json")]
    [TestCase("merges.txt", "vocab.json")]
    public void Merges_with_their_vocabulary_give_the_same_ranks(string mergesName, string vocabularyName)
    {
        (string merges, string vocabulary) = Gpt2Files();
        _folder.Write(mergesName, merges);
        _folder.Write(vocabularyName, vocabulary);
        MergeRanks expected = BpeTokenizerTests.Tokenizer(Corpus, 400).Ranks;
        AssertEqual(MergeRanks.Load(_folder.PathOf(mergesName)), expected);
        AssertEqual(MergeRanks.Load(_folder.PathOf(vocabularyName)), expected);
        AssertEqual(MergeRanks.Load(_folder.Path), expected);
    }

    [Test]
    public void A_merge_list_is_read_as_it_was_written()
    {
        MergeRanks ranks = BpeTokenizerTests.Tokenizer(Corpus, 400).Ranks;
        ranks.SaveMergeList(_folder.Path);
        AssertEqual(MergeRanks.Load(_folder.PathOf("merges.txt")), ranks);
        Assert.That(File.ReadAllText(_folder.PathOf("merges.txt")), Is.EqualTo(Gpt2Files().Merges));
    }

    [Test]
    public void Ranks_that_are_no_merges_are_not_written_as_merges()
    {
        string path = _folder.Write("t.tiktoken", string.Join('\n', Lines()[..256].Append($"{Convert.ToBase64String("xyz"u8)} 256")) + "\n");
        Assert.That(() => MergeRanks.Load(path).SaveMergeList(_folder.Path), Throws.InstanceOf<RequestException>().With.Message.Contains("rank 256"));
    }

    [Test]
    public void Merges_that_do_not_fit_the_vocabulary_are_refused()
    {
        (string merges, string vocabulary) = Gpt2Files();
        string path = _folder.Write("vocab.bpe", merges);
        AssertRefused(path, "needs the ids of the tokens beside it");

        _folder.Write("encoder.json", vocabulary[..^20]);
        AssertRefused(path, "not a vocabulary");

        _folder.Write("encoder.json", vocabulary);
        string[] lines = merges.Split('\n');
        (lines[3], lines[4]) = (lines[4], lines[3]);
        AssertRefused(_folder.Write("vocab.bpe", string.Join('\n', lines)), "line 4:");
        AssertRefused(_folder.Write("vocab.bpe", merges.Replace("\n", " x\n", StringComparison.Ordinal)), "not a merge");
        AssertRefused(_folder.Write("vocab.bpe", merges[..(merges.Length / 2)]), "");
        AssertRefused(_folder.Write("vocab.bpe", merges + lines[5] + "\n"), "a second time");
        AssertRefused(_folder.Write("vocab.bpe", "#version: 0.2\nqqq zzz\n"), "which no earlier line makes");
    }

    private static void AssertRefused(string path, string message) =>
        Assert.That(() => MergeRanks.Load(path), Throws.InstanceOf<RequestException>().With.Message.Contains(message));

    private static void AssertEqual(MergeRanks actual, MergeRanks expected)
    {
        Assert.That(actual.Count, Is.EqualTo(expected.Count));
        for (int rank = 0; rank < expected.Count; rank++)
            Assert.That(actual[rank].ToArray(), Is.EqualTo(expected[rank].ToArray()));
    }

    private static string[] Lines()
    {
        MergeRanks ranks = BpeTokenizerTests.Tokenizer(Corpus, 300).Ranks;
        return [.. Enumerable.Range(0, ranks.Count).Select(rank => $"{Convert.ToBase64String(ranks[rank])} {rank}")];
    }

    // The files as GPT-2 has them, from the reference implementation.
    private static (string Merges, string Vocabulary) Gpt2Files()
    {
        var merges = new StringBuilder("#version: 0.2\n");
        var vocabulary = new Dictionary<string, int>();
        for (int value = 0; value < 256; value++)
            vocabulary.Add(Printable(((char)value).ToString()), value);
        foreach ((string left, string right) in ReferenceBpe.Train(Corpus, 400 - 257))
        {
            merges.Append(Printable(left)).Append(' ').Append(Printable(right)).Append('\n');
            vocabulary.Add(Printable(left + right), vocabulary.Count);
        }

        vocabulary.Add("<|endoftext|>", vocabulary.Count);
        return (merges.ToString(), JsonSerializer.Serialize(vocabulary));
    }

    private static string Printable(string bytes) => string.Concat(bytes.Select(value => value switch
    {
        <= ' ' => (char)(0x100 + value),
        >= (char)0x7F and <= (char)0xA0 => (char)(0x100 + 33 + value - 0x7F),
        (char)0xAD => (char)(0x100 + 33 + 34),
        _ => value,
    }));
}
