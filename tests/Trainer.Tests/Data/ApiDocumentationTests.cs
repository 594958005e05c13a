using System.Text;
using Trainer.Data;

namespace Trainer.Tests.Data;

public sealed class ApiDocumentationTests
{
    private TemporaryFolder _folder = null!;

    [SetUp]
    public void MakeFolder() => _folder = new TemporaryFolder();

    [TearDown]
    public void DeleteFolder() => _folder.Dispose();

    [Test]
    public void The_documentation_of_the_highest_version_is_found()
    {
        foreach (string version in new[] { "9.0.11", "10.0.0-rc.1", "10.0.2", "8.0.0" })
        {
            _folder.Write($"sdk/packs/Microsoft.NETCore.App.Ref/{version}/ref/net{version[..2]}/System.B.xml", "");
            _folder.Write($"sdk/packs/Microsoft.NETCore.App.Ref/{version}/ref/net{version[..2]}/System.A.xml", "");
        }

        IReadOnlyList<string> files = ApiDocumentation.Locate([_folder.PathOf("none"), _folder.PathOf("sdk")], _folder.PathOf("nuget"));
        Assert.That(files.Select(file => Path.GetRelativePath(_folder.Path, file)), Is.EqualTo(new[] { "System.A.xml", "System.B.xml" }
            .Select(name => $"sdk/packs/Microsoft.NETCore.App.Ref/10.0.2/ref/net10/{name}")));
    }

    [Test]
    public void Without_an_sdk_the_package_cache_serves()
    {
        string file = _folder.Write("nuget/some.package/1.0.0/lib/net8.0/Some.Package.xml", "");
        Assert.That(ApiDocumentation.Locate([], _folder.PathOf("nuget")), Is.EqualTo(new[] { file }));
        file = _folder.Write("nuget/microsoft.netcore.app.ref/10.0.0/ref/net10.0/System.xml", "");
        Assert.That(ApiDocumentation.Locate([], _folder.PathOf("nuget")), Is.EqualTo(new[] { file }));
    }

    [Test]
    public void With_neither_the_user_is_asked_for_input() =>
        Assert.That(() => ApiDocumentation.Locate([], _folder.PathOf("nuget")), Throws.InstanceOf<RequestException>().With.Message.Contains("--input"));

    [Test]
    public void A_type_is_a_document_a_member_a_paragraph_and_nothing_is_said_twice()
    {
        string first = _folder.Write("a.xml", "<doc><members>" +
            "<member name=\"T:N.A\"><summary>An A.</summary></member>" +
            "<member name=\"M:N.A.Go(System.Int32)\"><summary>Goes.</summary><param name=\"x\">How far.</param></member>" +
            "<member name=\"M:N.A.Go(System.Int64)\"><summary>Goes.</summary><param name=\"x\">How far.</param><returns>Where.</returns></member>" +
            "<member name=\"T:System.Runtime.Intrinsics.X86.Sse\"><summary>__m128 _mm_add_ps.</summary></member>" +
            "<member name=\"T:N.B\"><summary>A B.</summary></member></members></doc>");
        string second = _folder.Write("b.xml", "<doc><members><member name=\"P:N.B.Size\"><summary>An A.</summary><value>Its size</value></member></members></doc>");
        ApiDocumentationSource source = ApiDocumentationSource.Load([first, second]);
        Assert.That(source.Read().Select(part => Encoding.UTF8.GetString(part.Utf8.Span)), Is.EqualTo(new[]
        {
            "An A.\nGoes. How far.\nWhere.\n",
            "A B.\nIts size.\n",
        }));
        Assert.That(source.Read().Select(part => part.StartsDocument), Is.All.True);
    }

    [Test]
    public void Malformed_documentation_is_named()
    {
        string path = _folder.Write("a.xml", "<doc><members><member name=\"T:A\"><summary>x</members></doc>");
        Assert.That(() => ApiDocumentationSource.Load([path]), Throws.InstanceOf<RequestException>().With.Message.Contains(path));
    }
}
