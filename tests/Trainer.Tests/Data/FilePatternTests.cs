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
    [Platform(Exclude = "Win")]
    public void A_link_to_a_folder_above_does_not_lead_in_a_circle()
    {
        Directory.CreateSymbolicLink(_folder.PathOf("sub/up"), _folder.Path);
        Assert.That(FilePattern.Expand(_folder.PathOf("**/c.md")), Is.EqualTo(new[] { _folder.PathOf("c.md") }));
        Assert.That(FilePattern.Expand(_folder.PathOf("sub/up/*.md")), Has.Count.EqualTo(1), "where the pattern names it");
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
