using System.Text;
using Trainer.Tokenization;

namespace Trainer.Tests.Tokenization;

public sealed class BpeTrainerTests
{
    [Test]
    public void Learns_what_the_reference_learns([Range(1, 12)] int seed)
    {
        var random = new Random(seed);
        string text = RandomText.Words(random, 300) + RandomText.WithinPlane(random, 300) + " aaaaaaa aaaaaaaa";
        List<(string Left, string Right)> expected = ReferenceBpe.Train(text, 150);
        MergeRanks ranks = Train(text, 257 + 150).Ranks;
        Assert.That(Merges(ranks), Is.EqualTo(expected.Select(merge => merge.Left + merge.Right)));
    }

    [Test]
    public void Equally_frequent_pairs_are_merged_by_smaller_ids()
    {
        // "ab", "cd" and "ad" occur twice each.
        Assert.That(Merges(Train("ad\nad\ncd\ncd\nab\nab", 260).Ranks), Is.EqualTo(new[] { "ab", "ad", "cd" }));
    }

    [Test]
    public void The_vocabulary_is_smaller_where_nothing_recurs()
    {
        BpeTrainingResult result = Train("ab ab cd", 1000);
        Assert.That(Merges(result.Ranks), Is.EqualTo(new[] { "ab" }));
        Assert.That(result.VocabularySize, Is.EqualTo(258));
        Assert.That(result.RequestedVocabulary, Is.EqualTo(1000));
    }

    [Test]
    public void Without_text_there_are_the_bytes() => Assert.That(Train("", 1000).VocabularySize, Is.EqualTo(257));

    [Test]
    public void A_vocabulary_without_room_for_the_bytes_is_refused() =>
        Assert.That(() => Train("abab", 256), Throws.InstanceOf<RequestException>().With.Message.Contains("256"));

    [Test]
    public void A_text_without_spaces_is_learned_from_in_parts()
    {
        MergeRanks ranks = Train(new string('a', 100_000), 261).Ranks;
        Assert.That(Merges(ranks).Select(merge => merge.Length), Is.EqualTo(new[] { 2, 4, 8, 16 }));
    }

    [Test]
    public void The_order_in_which_words_were_counted_does_not_matter()
    {
        string[] parts = [.. Enumerable.Range(0, 6).Select(seed => RandomText.Words(new Random(seed), 500))];
        MergeRanks forward = TrainParts(parts);
        MergeRanks backward = TrainParts([.. parts.Reverse()]);
        Assert.That(Merges(backward), Is.EqualTo(Merges(forward)));

        static MergeRanks TrainParts(string[] parts)
        {
            var all = new WordCounts();
            foreach (string part in parts)
            {
                var words = new WordCounts();
                words.Add(Encoding.UTF8.GetBytes(part));
                all.Add(words);
            }

            return BpeTrainer.Train(all, 700).Ranks;
        }
    }

    [Test]
    public void Progress_ends_with_the_merges_that_were_learned()
    {
        var reports = new List<int>();
        var words = new WordCounts();
        words.Add(Encoding.UTF8.GetBytes(RandomText.Words(new Random(1), 2000)));
        BpeTrainingResult result = BpeTrainer.Train(words, 900, new Recorder(reports));
        Assert.That(reports, Is.Ordered);
        Assert.That(reports[^1], Is.EqualTo(result.Ranks.Count - 256));
    }

    [Test]
    public void Training_can_be_cancelled()
    {
        var words = new WordCounts();
        words.Add("abab"u8);
        Assert.That(() => BpeTrainer.Train(words, 300, cancellation: new CancellationToken(canceled: true)), Throws.InstanceOf<OperationCanceledException>());
    }

    private static BpeTrainingResult Train(string text, int vocabularySize)
    {
        var words = new WordCounts();
        words.Add(Encoding.UTF8.GetBytes(text));
        return BpeTrainer.Train(words, vocabularySize);
    }

    private static IEnumerable<string> Merges(MergeRanks ranks) =>
        Enumerable.Range(256, ranks.Count - 256).Select(rank => Encoding.Latin1.GetString(ranks[rank]));

    private sealed class Recorder(List<int> reports) : IProgress<int>
    {
        public void Report(int value) => reports.Add(value);
    }
}
