using Trainer.Data;
using Trainer.Tests.Tokenization;
using Trainer.Tokenization;

namespace Trainer.Tests.Data;

public sealed class DatasetTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void MakeDataset()
    {
        _folder = new TemporaryFolder();
        string input = _folder.Write("text.txt", RandomText.Words(new Random(1), 3000));
        CorpusPreparer.Prepare(new CorpusOptions { Inputs = [input], Output = _folder.PathOf("data"), VocabularySize = 300 });
    }

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void A_dataset_knows_its_tokenizer_and_its_sizes()
    {
        Dataset dataset = Dataset.Open(_folder.PathOf("data"));
        dataset.Verify();
        Assert.That(dataset.Tokenizer, Is.InstanceOf<BpeTokenizer>());
        Assert.That(dataset.Tokenizer.Kind, Is.EqualTo("bpe"));
        Assert.That(dataset.Tokenizer.VocabularySize, Is.EqualTo(300));
        using TokenCorpus train = dataset.OpenTrain();
        using TokenCorpus validation = dataset.OpenValidation();
        Assert.That(train.Tokens, Is.EqualTo(dataset.Manifest.Train.Tokens));
        Assert.That(validation.Tokens, Is.EqualTo(dataset.Manifest.Validation.Tokens));
        Assert.That(dataset.Manifest.BytesPerToken, Is.InRange(1.5, 6));
    }

    [TestCase("train_000000.bin")]
    [TestCase("val_000000.bin")]
    [TestCase("tokenizer.tiktoken")]
    [TestCase("manifest.json")]
    public void A_missing_file_is_named(string name)
    {
        File.Delete(_folder.PathOf("data/" + name));
        Assert.That(() => Dataset.Open(_folder.PathOf("data")), Throws.InstanceOf<RequestException>().With.Message.Contains(name));
    }

    [TestCase("train_000000.bin")]
    [TestCase("val_000000.bin")]
    [TestCase("tokenizer.tiktoken")]
    public void A_truncated_file_is_named(string name)
    {
        string path = _folder.PathOf("data/" + name);
        File.WriteAllBytes(path, File.ReadAllBytes(path)[..^1]);
        Assert.That(() => Dataset.Open(_folder.PathOf("data")), Throws.InstanceOf<RequestException>().With.Message.Contains(name));
    }

    [TestCase("train_000000.bin")]
    [TestCase("val_000000.bin")]
    [TestCase("tokenizer.tiktoken")]
    public void A_changed_file_is_found_by_its_digest(string name)
    {
        Dataset dataset = Dataset.Open(_folder.PathOf("data"));
        string path = _folder.PathOf("data/" + name);
        byte[] bytes = File.ReadAllBytes(path);
        bytes[^1] ^= 1;
        File.WriteAllBytes(path, bytes);
        Assert.That(() => dataset.Verify(), Throws.InstanceOf<RequestException>().With.Message.Contains(name));
        File.Delete(path);
        Assert.That(() => dataset.Verify(), Throws.InstanceOf<RequestException>().With.Message.Contains(name));
    }

    [TestCase("", "corrupt")]
    [TestCase("{", "corrupt")]
    [TestCase("null", "not the manifest")]
    [TestCase("[]", "corrupt")]
    [TestCase("{}", "corrupt")]
    public void A_corrupt_manifest_is_refused(string text, string message) => AssertManifestRefused(_ => text, message);

    [Test]
    public void A_manifest_of_another_kind_or_version_is_refused()
    {
        AssertManifestRefused(text => text.Replace("trainer-dataset", "other", StringComparison.Ordinal), "not the manifest");
        AssertManifestRefused(text => text.Replace("other", "trainer-dataset", StringComparison.Ordinal)
            .Replace("\"version\": 1", "\"version\": 2", StringComparison.Ordinal), "version 2");
    }

    [Test]
    public void A_manifest_that_does_not_fit_its_tokenizer_is_refused() =>
        AssertManifestRefused(text => text.Replace("\"vocabularySize\": 300", "\"vocabularySize\": 301", StringComparison.Ordinal), "301");

    private void AssertManifestRefused(Func<string, string> change, string message)
    {
        string path = _folder.PathOf("data/manifest.json");
        File.WriteAllText(path, change(File.ReadAllText(path)));
        Assert.That(() => Dataset.Open(_folder.PathOf("data")), Throws.InstanceOf<RequestException>().With.Message.Contains(message));
    }
}
