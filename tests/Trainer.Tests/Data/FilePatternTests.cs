using Trainer.Data;

namespace Trainer.Tests.Data;

public sealed class FilePatternTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void MakeFiles()
    {
        _folder = new TemporaryFolder();
        foreach (string name in new[] { "b.txt", "a.txt", "B.txt", "c.md", "sub/a.txt", "sub/deep/a.txt", "sub/deep/x.bin", ".hidden/a.txt", "sub/.a.txt" })
            _folder.Write(name, "x");
    }

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [TestCase("*.txt", "B.txt a.txt b.txt")]
    [TestCase("?.md", "c.md")]
    [TestCase("*/a.txt", "sub/a.txt")]
    [TestCase("**/a.txt", "a.txt sub/a.txt sub/deep/a.txt")]
    [TestCase("**", "B.txt a.txt b.txt c.md sub/a.txt sub/deep/a.txt sub/deep/x.bin")]
    [TestCase("s*/**/*.bin", "sub/deep/x.bin")]
    [TestCase("**/**/a.txt", "a.txt sub/a.txt sub/deep/a.txt")]
    [TestCase(".hidden/*", ".hidden/a.txt")]
    [TestCase("none/*", "")]
    public void Patterns_match_in_ordinal_order(string pattern, string expected)
    {
        IEnumerable<string> found = FilePattern.Expand(_folder.PathOf(pattern)).Select(path => Path.GetRelativePath(_folder.Path, path));
        Assert.That(string.Join(' ', found), Is.EqualTo(expected));
    }

    [Test]
    public void A_pattern_may_be_relative()
    {
        string current = Environment.CurrentDirectory;
        try
        {
            Environment.CurrentDirectory = _folder.Path;
            Assert.That(FilePattern.Expand("*.md"), Is.EqualTo(new[] { "c.md" }));
        }
        finally
        {
            Environment.CurrentDirectory = current;
        }
    }
}
