using System.Text;
using Trainer.Data;

namespace Trainer.Tests.Data;

public sealed class XmlDocumentationTextTests
{
    [TestCase("T:System.String", "String")]
    [TestCase("T:System.Collections.Generic.List`1", "List")]
    [TestCase("T:System.Collections.Generic.Dictionary`2.KeyCollection", "KeyCollection")]
    [TestCase("M:System.String.Join(System.String,System.Object[])", "String.Join")]
    [TestCase("M:System.Array.IndexOf``1(``0[],``0)", "Array.IndexOf")]
    [TestCase("M:System.Text.StringBuilder.#ctor(System.Int32)", "StringBuilder")]
    [TestCase("M:System.Collections.ArrayList.System#Collections#IList#get_Item", "ArrayList.get_Item")]
    [TestCase("P:System.String.Length", "String.Length")]
    [TestCase("F:System.Int32.MaxValue", "Int32.MaxValue")]
    [TestCase("N:System.IO", "System.IO")]
    [TestCase("!:Unknown", "Unknown")]
    [TestCase("System.IO.Stream", "Stream")]
    [TestCase("Plain", "Plain")]
    [TestCase("", "")]
    public void References_become_short_names(string reference, string expected) =>
        Assert.That(XmlDocumentationText.ShortName(reference), Is.EqualTo(expected));

    [TestCase("<summary>Gets <paramref name=\"x\"/> of <see cref=\"T:System.String\" /> as <c>int</c>.</summary>", "Gets x of String as int.")]
    [TestCase("<summary>If <see langword=\"null\"/>,\n    then\t<see cref=\"F:System.Int32.MaxValue\">the greatest</see></summary>", "If null, then the greatest.")]
    [TestCase("<summary><para>One.</para><para>Two &lt; three</para></summary>", "One. Two < three.")]
    [TestCase("<summary>A:<code>\nvar x = 1;\nvar y = 2;\n</code>and <code>null</code></summary>", "A:and null.")]
    [TestCase("<summary><list type=\"table\"><listheader><term>T</term></listheader><item><term>a</term><description>first.</description></item><item><description>second</description></item></list></summary>", "a: first. second.")]
    [TestCase("<summary>x<sup>2</sup> of <typeparamref name=\"T\"/><br/>and <xref uid=\"System.IO.Stream\"></xref></summary>", "x2 of T and Stream.")]
    [TestCase("<param name=\"x\">The value</param><returns>It</returns>", "The value. It.")]
    [TestCase("<exception cref=\"T:System.ArgumentNullException\"><paramref name=\"x\"/> is null.</exception>", "ArgumentNullException: x is null.")]
    [TestCase("<exception cref=\"T:System.ArgumentNullException\"></exception><exception cref=\"T:System.Exception\" />", "")]
    [TestCase("<example>Not this <b>at all</b></example><summary>This.</summary><seealso cref=\"T:X\"/>", "This.")]
    [TestCase("<summary/><remarks>Rest</remarks>", "Rest.")]
    [TestCase("<summary> \n </summary>", "")]
    [TestCase("<summary><see cref=\"T:A\"/></summary><remarks><see cref=\"T:B\"/></remarks><value>v</value>", "A. B. v.")]
    public void A_member_becomes_sentences(string member, string expected) =>
        Assert.That(Read($"<doc><members><member name=\"T:X\">{member}</member></members></doc>"), Is.EqualTo(new[] { ("T:X", expected) }));

    [Test]
    public void Members_are_read_in_order_whatever_lies_between()
    {
        const string Xml = "<doc><assembly><name>A</name></assembly><members><member name=\"T:A\"><summary>One.</summary></member><member name=\"M:A.B\"/>" +
            "\n <member name=\"M:A.C(System.Int32)\">\n<summary>Three.</summary>\n</member></members></doc>";
        Assert.That(Read(Xml), Is.EqualTo(new[] { ("T:A", "One."), ("M:A.B", ""), ("M:A.C(System.Int32)", "Three.") }));
    }

    private static List<(string, string)> Read(string xml) =>
        [.. XmlDocumentationText.Read(new MemoryStream(Encoding.UTF8.GetBytes(xml))).Select(member => (member.Name, string.Join(' ', member.Sentences)))];
}
